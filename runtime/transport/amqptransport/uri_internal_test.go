package amqptransport

import (
	"strings"
	"testing"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

func TestTheOptionsOfAURIReachTheConnection(t *testing.T) {
	t.Parallel()
	type reached struct {
		Heartbeat  string
		ChannelMax uint16
		SASL       []string
		TLS        *transport.TLS
	}
	for _, test := range []struct {
		name, uri string
		own       amqp.Config
		want      reached
	}{
		{"a heartbeat in seconds", "amqp://h/?heartbeat=7", amqp.Config{}, reached{Heartbeat: "7s"}},
		{"a heartbeat of this package's", "amqp://h/?heartbeat=7s", amqp.Config{}, reached{Heartbeat: "7s"}},
		{"a heartbeat of the broker's choice", "amqp://h/?heartbeat=0", amqp.Config{}, reached{}},
		{"a heartbeat in the URI and in the code", "amqp://h/?heartbeat=7", amqp.Config{Heartbeat: time.Minute}, reached{Heartbeat: "7s"}},
		{"as many channels", "amqp://h/?channel_max=100", amqp.Config{}, reached{ChannelMax: 100}},
		{"as many channels in the code", "amqp://h/?channel_max=100", amqp.Config{ChannelMax: 9}, reached{ChannelMax: 9}},
		{
			"ways to log in", "amqp://u:p@h/?auth_mechanism=EXTERNAL&auth_mechanism=amqplain",
			amqp.Config{},
			reached{SASL: []string{"EXTERNAL \x00*\x00*", "AMQPLAIN \x05LOGINS\x00\x00\x00\x01u and \x08PASSWORDS\x00\x00\x00\x01p"}},
		},
		{
			"files", "amqps://h/?cacertfile=%2Fca.pem&certfile=c&keyfile=k&server_name_indication=n",
			amqp.Config{},
			reached{TLS: &transport.TLS{CAFile: "/ca.pem", CertFile: "c", KeyFile: "k", ServerName: "n"}},
		},
		{"a certificate without its key", "amqps://h/?certfile=c", amqp.Config{}, reached{}},
		{"files beside plain text", "amqp://h/?cacertfile=c", amqp.Config{}, reached{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := wamqp.Config{Connection: wamqp.ConnectionConfig{AmqpURI: test.uri, AmqpConfig: &test.own}}
			c, err := readURI(&config)
			if err != nil {
				t.Fatal(err)
			}
			own := config.Connection.AmqpConfig
			got := reached{Heartbeat: c.Options[optionHeartbeat], ChannelMax: own.ChannelMax, TLS: c.TLS}
			for _, way := range own.SASL {
				got.SASL = append(got.SASL, way.Mechanism()+" "+credentials(way.Response()))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Heartbeat != "" && own.Heartbeat != 0 {
				t.Errorf("the heartbeat %v of the code would win", own.Heartbeat)
			}
		})
	}
}

// credentials is a response with the two entries of a table in the same order always.
func credentials(response string) string {
	const name, password = "\x05LOGIN", "\x08PASSWORD"
	at, then := strings.Index(response, name), strings.Index(response, password)
	switch {
	case at < 0 || then < 0:
		return response
	case at < then:
		return response[at:then] + " and " + response[then:]
	default:
		return response[at:] + " and " + response[then:at]
	}
}

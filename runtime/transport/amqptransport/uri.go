package amqptransport

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// uriOptions are the options of RabbitMQ's URIs, which programs on watermill-amqp write. heartbeat is one of this package's too:
// a plain number is RabbitMQ's, in seconds.
var uriOptions = []string{
	optionHeartbeat, "connection_timeout", "channel_max", "auth_mechanism", "cacertfile", "certfile", "keyfile", "server_name_indication",
}

// readURI reads the address in config, with the options of both. What it says of the connection goes into config.
func readURI(config *wamqp.Config) (transport.Config, error) {
	address, options := splitURI(config.Connection.AmqpURI)
	c, err := transport.ParseURL(address)
	if err != nil {
		return c, err
	}
	// Without the address: the client library shows it in errors, with the password.
	uri, err := amqp.ParseURI("amqp://localhost/?" + options.Encode())
	if err != nil {
		return c, err
	}
	var own amqp.Config
	if config.Connection.AmqpConfig != nil {
		own = *config.Connection.AmqpConfig
	}
	// With zero the broker is asked for its own interval, and this package has one.
	if seconds := options.Get(optionHeartbeat); seconds != "" && seconds != "0" {
		if c.Options == nil {
			c.Options = make(map[string]string)
		}
		c.Options[optionHeartbeat] = seconds + "s"
		own.Heartbeat = 0
	}
	if own.ChannelMax == 0 {
		own.ChannelMax = uri.ChannelMax
	}
	if own.Dial == nil && uri.ConnectionTimeout > 0 {
		own.Dial = amqp.DefaultDial(time.Duration(uri.ConnectionTimeout) * time.Millisecond)
	}
	if c.URL.Scheme == "amqps" && config.Connection.TLSConfig == nil && own.TLSClientConfig == nil {
		c.TLS = tlsFiles(uri)
	}
	if len(own.SASL) == 0 {
		if own.SASL, err = mechanisms(uri.AuthMechanism, c); err != nil {
			return c, err
		}
	}
	config.Connection.AmqpConfig = &own
	return c, nil
}

// splitURI takes the options of RabbitMQ's out of a URI.
func splitURI(uri string) (rest string, options url.Values) {
	options = make(url.Values)
	address, query, _ := strings.Cut(uri, "?")
	var others []string
	for pair := range strings.SplitSeq(query, "&") {
		name, escaped, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(escaped)
		duration := name == optionHeartbeat && strings.Trim(value, "0123456789") != ""
		if err != nil || duration || !slices.Contains(uriOptions, name) {
			others = append(others, pair)
			continue
		}
		options.Add(name, value)
	}
	if query = strings.Join(others, "&"); query != "" {
		address += "?" + query
	}
	return address, options
}

// tlsFiles are the files and the name that a URI gives, nil for none. A certificate counts only together with its key.
func tlsFiles(uri amqp.URI) *transport.TLS {
	files := transport.TLS{CAFile: uri.CACertFile, ServerName: uri.ServerName}
	if uri.CertFile != "" && uri.KeyFile != "" {
		files.CertFile, files.KeyFile = uri.CertFile, uri.KeyFile
	}
	if files == (transport.TLS{}) {
		return nil
	}
	return &files
}

// mechanisms are the ways to log in that a URI asks for, nil for none.
func mechanisms(names []string, c transport.Config) ([]amqp.Authentication, error) {
	var list []amqp.Authentication
	user, password := "guest", "guest"
	if c.Username != "" {
		user, password = c.Username, c.Password.Reveal()
	}
	for _, name := range names {
		switch strings.ToUpper(name) {
		case "PLAIN":
			list = append(list, &amqp.PlainAuth{Username: user, Password: password})
		case "AMQPLAIN":
			list = append(list, &amqp.AMQPlainAuth{Username: user, Password: password})
		case "EXTERNAL":
			list = append(list, &amqp.ExternalAuth{})
		default:
			return nil, fmt.Errorf("auth_mechanism: %q is unknown; write plain, amqplain or external", name)
		}
	}
	return list, nil
}

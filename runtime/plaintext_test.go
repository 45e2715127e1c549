package async_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

// TestPlainTextLeavesTheMachineOnlyWhenAllowed: what a configuration says about a connection is what it gets, or an error.
func TestPlainTextLeavesTheMachineOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	// Nobody listens here, which is as far as a connection that is allowed gets.
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	must(t, listener.Close())
	const refused, asked = "plain text to", "connect to RabbitMQ at"
	for _, test := range []struct{ name, transport, want string }{
		{"this machine by name", `{url: "amqp://localhost:%s/"}`, asked},
		{"this machine by address", `{url: "amqp://127.0.0.1:%s/"}`, asked},
		{"this machine by another of its addresses", `{url: "amqp://127.9.9.9:%s/"}`, asked},
		{"this machine over IPv6", `{url: "amqp://[::1]:%s/"}`, asked},
		{"another machine", `{url: "amqp://rabbit.example:%s/"}`, refused},
		{"another machine without a port", `{url: "amqp://rabbit.example/"}`, refused},
		{"another machine by address", `{url: "amqp://192.0.2.1:%s/"}`, refused},
		{"another machine over IPv6", `{url: "amqp://[2001:db8::1]:%s/"}`, refused},
		{"any address", `{url: "amqp://0.0.0.0:%s/"}`, refused},
		{"any address, allowed", `{url: "amqp://0.0.0.0:%s/", insecure: true}`, asked},
		{"another machine beside this one", `{url: "amqp://127.0.0.1:%s,rabbit.example/"}`, refused},
		{"a name that begins as this machine's", `{url: "amqp://localhost.example:%s/"}`, refused},
		{"a name that begins as this machine's address", `{url: "amqp://127.0.0.1.example:%s/"}`, refused},
		{"this machine's address in another notation", `{url: "amqp://2130706433:%s/"}`, refused},
		{"TLS to this machine", `{url: "amqps://127.0.0.1:%s/"}`, asked},
		{"TLS files beside plain text", `{url: "amqp://127.0.0.1:%s/", tls: {ca_file: ca.pem}}`, "amqps://"},
		{"TLS files beside plain text that is allowed", `{url: "amqp://127.0.0.1:%s/", insecure: true, tls: {ca_file: ca.pem}}`, "amqps://"},
		{"no check of the certificate", `{url: "amqps://127.0.0.1:%s/", tls: {skip_verify: true}}`, "always checked"},
		{"no check of the certificate, allowed to be insecure", `{url: "amqps://127.0.0.1:%s/", insecure: true, tls: {skip_verify: true}}`, "always checked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := test.transport
			if strings.Contains(address, "%s") {
				address = fmt.Sprintf(address, port)
			}
			rt, err := async.Open(t.Context(), async.WithConfigFile(written(t, "async.yaml", "version: 1\ntransports: {main: "+address+"}\n")))
			if err == nil {
				must(t, rt.Close())
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || test.want == refused && strings.Contains(err.Error(), asked) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := async.Open(t.Context(), async.WithURL("amqp://rabbit.example/")); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("a URL in code: %v", err)
	}
}

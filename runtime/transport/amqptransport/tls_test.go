package amqptransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// config is a configuration that goes through g.
func (g *gate) config(t *testing.T, user string, files transport.TLS) transport.Config {
	t.Helper()
	c := brokerConfig(t, "amqps://"+g.address+"/")
	c.Insecure = false
	if user != "" {
		c.Username, c.Password = "guest", transport.NewSecret("guest")
	}
	c.TLS = &files
	return c
}

func TestTLSCarriesMessages(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t, "the company")
	g := newGate(t, authority.server(t, "127.0.0.1"), nil)
	tr := openConfig(t, g.config(t, "guest", transport.TLS{CAFile: authority.file}))
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	for _, payload := range []string{"small", strings.Repeat("large", 1<<18)} {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage(payload))
		d := await(t, deliveries, "the message")
		if string(d.Message().Payload) != payload {
			t.Errorf("%d bytes came back changed", len(payload))
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if login := await(t, g.logins, "a login"); login != "PLAIN" {
		t.Errorf("login by %s, want PLAIN", login)
	}
}

func TestCertificateIsTheLogin(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t, "the company")
	g := newGate(t, authority.server(t, "127.0.0.1"), authority.pool)
	certFile, keyFile := authority.client(t, "billing")
	tr := openConfig(t, g.config(t, "", transport.TLS{CAFile: authority.file, CertFile: certFile, KeyFile: keyFile}))
	s := subscription(t)
	declare(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	for range 2 {
		if login := await(t, g.logins, "a login"); login != "EXTERNAL billing" {
			t.Errorf("login by %q, want EXTERNAL with the name in the certificate", login)
		}
	}
}

// TestTLSRefuses opens what must not be trusted.
func TestTLSRefuses(t *testing.T) {
	t.Parallel()
	authority, stranger := newAuthority(t, "the company"), newAuthority(t, "somebody else")
	strange, strangeKey := stranger.client(t, "billing")
	for _, test := range []struct {
		name    string
		server  tls.Certificate
		clients *x509.CertPool
		files   transport.TLS
		want    string
	}{
		{
			name: "a server that nobody known vouches for", server: stranger.server(t, "127.0.0.1"),
			files: transport.TLS{CAFile: authority.file}, want: "unknown authority",
		},
		{
			name: "a server with the certificate of another", server: authority.server(t, "127.0.0.2"),
			files: transport.TLS{CAFile: authority.file}, want: "127.0.0.2",
		},
		{
			name: "a server that is not the one that was named", server: authority.server(t, "127.0.0.1"),
			files: transport.TLS{CAFile: authority.file, ServerName: "rabbit.example"}, want: "rabbit.example",
		},
		{
			name: "a client without a certificate", server: authority.server(t, "127.0.0.1"), clients: authority.pool,
			files: transport.TLS{CAFile: authority.file}, want: "cert_file",
		},
		{
			name: "a client that the server does not know", server: authority.server(t, "127.0.0.1"), clients: authority.pool,
			files: transport.TLS{CAFile: authority.file, CertFile: strange, KeyFile: strangeKey}, want: "cert_file",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, test.server, test.clients)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tr, err := amqptransport.Open(ctx, g.config(t, "guest", test.files))
			if err == nil {
				_ = tr.Close(ctx)
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error %q does not say %q", err, test.want)
			}
		})
	}
}

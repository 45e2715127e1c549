package amqptransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

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
		version uint16
		files   transport.TLS
		want    string
	}{
		{
			name: "a server whose certificate has expired", server: authority.serverUntil(t, "127.0.0.1", time.Now().Add(-time.Minute)),
			files: transport.TLS{CAFile: authority.file}, want: "out of date",
		},
		{
			name: "a server that speaks TLS 1.1 alone", server: authority.server(t, "127.0.0.1"), version: tls.VersionTLS11,
			files: transport.TLS{CAFile: authority.file}, want: "no TLS 1.2",
		},
		{
			name: "a server that nobody known vouches for", server: stranger.server(t, "127.0.0.1"),
			files: transport.TLS{CAFile: authority.file}, want: "name its authority in ca_file",
		},
		{
			name: "a server with the certificate of another", server: authority.server(t, "127.0.0.2"),
			files: transport.TLS{CAFile: authority.file}, want: "server_name",
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
			if test.version != 0 {
				g.change(test.server, test.clients, test.version)
			}
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

func TestTLSToAPlainPortIsRefused(t *testing.T) {
	t.Parallel()
	c := brokerConfig(t, brokerURL())
	c.URL.Scheme, c.Insecure = "amqps", false
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tr, err := amqptransport.Open(ctx, c)
	if err == nil {
		_ = tr.Close(ctx)
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "does not speak TLS at this port") {
		t.Errorf("the error %q does not say what is wrong", err)
	}
}

// TestOwnTLSConfigurationsKeepTheFloor: what a program gives by WithConfig is held to the same rules, unless it says insecure.
func TestOwnTLSConfigurationsKeepTheFloor(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t, "the company")
	g := newGate(t, authority.server(t, "127.0.0.1"), nil)
	for _, test := range []struct {
		name     string
		own      *tls.Config
		insecure bool
		want     string
	}{
		{name: "a server that nobody checks", own: &tls.Config{InsecureSkipVerify: true}, want: "insecure: true"},
		{name: "the same, allowed", own: &tls.Config{InsecureSkipVerify: true}, insecure: true},
		{name: "a check of its own", own: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}},
		{name: "TLS 1.0", own: &tls.Config{MinVersion: tls.VersionTLS10, RootCAs: authority.pool}, want: "TLS 1.2"},
		{name: "an authority of its own", own: &tls.Config{RootCAs: authority.pool}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := g.config(t, "guest", transport.TLS{})
			c.TLS, c.Insecure = nil, test.insecure
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tr, err := amqptransport.Open(ctx, c, amqptransport.WithConfig(func(w *wamqp.Config) { w.Connection.TLSConfig = test.own }))
			if err == nil {
				if err := tr.Close(ctx); err != nil {
					t.Error(err)
				}
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestCertificatesAreRenewedWithoutARestart replaces authority, server certificate and client certificate under a transport
// that sends and consumes, and cuts its connections.
func TestCertificatesAreRenewedWithoutARestart(t *testing.T) {
	t.Parallel()
	old, fresh := newAuthority(t, "the company"), newAuthority(t, "the company, next year")
	g := newGate(t, old.server(t, "127.0.0.1"), old.pool)
	certFile, keyFile := old.client(t, "billing")
	caFile := old.file
	tr := openConfig(t, g.config(t, "", transport.TLS{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}))
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	const rounds, each = 3, 50
	var outcomes []<-chan error
	sendSome := func() {
		for range each {
			outcomes = append(outcomes, start(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage(fmt.Sprintf("%d", len(outcomes)))))
		}
	}
	sendSome()
	writePEM(t, caFile, "CERTIFICATE", fresh.certificate.Raw)
	fresh.renew(t, "billing, renewed", certFile, keyFile)
	g.change(fresh.server(t, "127.0.0.1"), fresh.pool, tls.VersionTLS13)
	sendSome()
	for login := ""; login != "EXTERNAL billing, renewed"; {
		login = await(t, g.logins, "a login with the new certificate")
	}
	sendSome()
	for i, outcome := range outcomes {
		if err := await(t, outcome, "the outcome of a send"); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	missing := make(map[string]bool)
	for i := range rounds * each {
		missing[fmt.Sprintf("%d", i)] = true
	}
	for len(missing) > 0 {
		d := await(t, deliveries, "every message")
		delete(missing, string(d.Message().Payload))
		_ = settle(t, d, transport.Ack) // one that was out when the connection ended comes again
	}
}

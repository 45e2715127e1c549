package amqptransport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

const password = "s3cr3t-passw0rd"

// TestOpenRefuses opens what cannot work. No error may hold the password.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	with := func(f func(*wamqp.Config)) []amqptransport.Option {
		return []amqptransport.Option{amqptransport.WithConfig(f)}
	}
	broker := strings.TrimSuffix(strings.SplitN(brokerURL(), "@", 2)[1], "/")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	for _, test := range []struct {
		name   string
		url    string
		change func(*transport.Config)
		opts   []amqptransport.Option
		want   string
	}{
		{name: "plain text to another machine", url: "amqp://u:" + password + "@rabbit.example/", want: "amqps://"},
		{name: "TLS files beside amqp", url: "amqp://u:" + password + "@127.0.0.1/", change: func(c *transport.Config) { c.TLS = &transport.TLS{} }, want: "amqps://"},
		{
			name: "a TLS configuration beside amqp", url: "amqp://u:" + password + "@127.0.0.1/",
			opts: with(func(c *wamqp.Config) { c.Connection.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} }), want: "amqps://",
		},
		{name: "an unknown option", url: "amqp://u:" + password + "@127.0.0.1/?prefetch=7", want: "known: channels, heartbeat, queue_type, window"},
		{name: "a heartbeat that is no duration", url: "amqp://127.0.0.1/?heartbeat=10", want: "option heartbeat"},
		{name: "a window of nothing", url: "amqp://127.0.0.1/?window=0", want: "option window"},
		{name: "an unknown queue type", url: "amqp://127.0.0.1/?queue_type=stream", want: "quorum or classic"},
		{name: "no host", url: "amqp:///vhost", want: "names no host"},
		{name: "a CA file that is not there", url: "amqps://127.0.0.1/", change: func(c *transport.Config) { c.TLS = &transport.TLS{CAFile: "/nowhere.pem"} }, want: "ca_file"},
		{name: "a certificate without its key", url: "amqps://127.0.0.1/", change: func(c *transport.Config) { c.TLS = &transport.TLS{CertFile: "/nowhere.pem"} }, want: "key_file"},
		{name: "transactions", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Publish.Transactional = true }), want: "Publish.Transactional"},
		{name: "no confirms", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Publish.ConfirmDelivery = false }), want: "Publish.ConfirmDelivery"},
		{name: "a pool of channels", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Publish.ChannelPoolSize = 4 }), want: "Publish.ChannelPoolSize"},
		{name: "a second address", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Connection.AmqpURI = "amqp://" }), want: "Connection.AmqpURI"},
		{name: "no marshaler", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Marshaler = nil }), want: "Marshaler"},
		{name: "dropping what is nacked", url: "amqp://127.0.0.1/", opts: with(func(c *wamqp.Config) { c.Consume.NoRequeueOnNack = true }), want: "Consume.NoRequeueOnNack"},
		{name: "nobody listens", url: "amqp://u:" + password + "@" + nobody + "/", want: nobody},
		{name: "a wrong password", url: "amqp://guest:" + password + "@" + broker + "/", want: "user or password is wrong"},
		{name: "an unknown vhost", url: brokerURL() + "nowhere-to-be-found", want: `vhost "nowhere-to-be-found" does not exist`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := transport.ParseURL(test.url)
			if err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(&c)
			}
			c.Insecure = strings.Contains(test.url, broker)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tr, err := amqptransport.Open(ctx, c, test.opts...)
			if err == nil {
				_ = tr.Close(ctx)
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error %q does not say %q", err, test.want)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error %q holds the password", err)
			}
		})
	}
}

func TestOpenIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	p.silence(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := amqptransport.Open(ctx, p.config(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open: %v, want DeadlineExceeded", err)
	}
}

func TestOpenTriesEveryHost(t *testing.T) {
	t.Parallel()
	c := brokerConfig(t, brokerURL())
	c.URL.Host = "127.0.0.1:1," + c.URL.Host
	if err := openConfig(t, c).Report(); err != nil {
		t.Errorf("Report: %v", err)
	}
}

func TestRegistryOpensTheScheme(t *testing.T) {
	t.Parallel()
	tr, err := transport.Default.Open(t.Context(), brokerConfig(t, brokerURL()))
	if err != nil {
		t.Fatal(err)
	}
	if got := tr.Capabilities().System; got != "rabbitmq" {
		t.Errorf("system %q", got)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCloseOfASilentConnectionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	c := p.config(t)
	c.Options["heartbeat"] = "1h"
	tr, err := amqptransport.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s := subscription(t)
	consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic}, newMessage("x"))
	p.silence(true)
	outcome := start(t, tr, transport.Publication{Topic: s.Topic}, newMessage("written, never answered"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tr.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want DeadlineExceeded", err)
	}
	if err := await(t, outcome, "the outcome of the open send"); !errors.Is(err, transport.ErrUnknown) && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("the open send resolved with %v", err)
	}
}

func TestReportTellsTheLossOfTheConnection(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	p.silence(true)
	p.cut()
	eventually(t, "the loss is reported", func() bool { return tr.Report() != nil })
	s := subscription(t)
	err := send(t, tr, transport.Publication{Topic: s.Topic, Deadline: time.Now().Add(50 * time.Millisecond)}, newMessage("x"))
	if !errors.Is(err, transport.ErrBlocked) || errors.Is(err, transport.ErrUnknown) {
		t.Errorf("without a connection: %v, want ErrBlocked", err)
	}
	p.silence(false)
	eventually(t, "the connection is back", func() bool { return tr.Report() == nil })
}

func TestConnectionsAreNamedAfterAppAndRole(t *testing.T) {
	t.Parallel()
	names := make(chan string, 2)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := brokerConfig(t, brokerURL())
	broker := c.URL.Host
	c.URL.Host = listener.Addr().String()
	c.App = "billing"
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			relay(client, broker, names)
		}
	}()
	openConfig(t, c)
	got := []string{await(t, names, "a name"), await(t, names, "a name")}
	if got[0] != "billing publish" || got[1] != "billing consume" {
		t.Errorf("the connections are called %q", got)
	}
	_ = listener.Close()
	<-served
}

// relay forwards one connection and tells the name that its client gives.
func relay(client net.Conn, broker string, names chan<- string) {
	server, err := net.Dial("tcp", broker)
	if err != nil {
		_ = client.Close()
		return
	}
	go copyAll(client, server, nil)
	go copyAll(server, client, func(b []byte) {
		const mark = "connection_nameS\x00\x00\x00"
		if _, rest, found := strings.Cut(string(b), mark); found {
			names <- rest[1 : 1+int(rest[0])]
		}
	})
}

func copyAll(to, from net.Conn, see func([]byte)) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if see != nil {
			see(buffer[:n])
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

package amqptransport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	handshakeTimeout = 30 * time.Second
	// dialTimeout is how long one host may take to accept. A host whose network swallows everything then costs neither the
	// time of the other hosts nor, when it is back, more than this.
	dialTimeout = 3 * time.Second
	// greetingTimeout is how long a host that has accepted may take to say its first word. One that has stopped, or a load
	// balancer with nothing behind it, accepts too, and must not use up the time of the other hosts.
	greetingTimeout = 5 * time.Second
	frameSize       = 128 << 10
)

// errUnreached: nobody listens at an address, or nobody answers from there.
var errUnreached = errors.New("not reached")

// hearing is a connection that remembers whether anything came from the other side.
type hearing struct {
	net.Conn
	heard atomic.Bool
}

func (h *hearing) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.heard.Store(true)
	}
	return n, err
}

// dialer opens connections. It goes around the client library's own dialing, which would need the password inside a
// URL and prints that URL in errors.
type dialer struct {
	addresses []string
	app       string
	tls       func() (*tls.Config, error) // nil for plain text
	config    amqp.Config
	pack      bool // headers come packed
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer(c transport.Config, s *settings) (*dialer, error) {
	d := &dialer{addresses: s.addresses, app: c.App, pack: s.native(), dial: new(net.Dialer).DialContext}
	if d.app == "" {
		d.app = "async"
	}
	if custom := s.config.Connection.AmqpConfig; custom != nil {
		d.config = *custom
		if custom.Dial != nil {
			d.dial = func(_ context.Context, network, address string) (net.Conn, error) {
				return custom.Dial(network, address)
			}
		}
	}
	if d.config.Vhost == "" {
		d.config.Vhost = vhost(c.URL.Path)
	}
	if d.config.Heartbeat == 0 {
		d.config.Heartbeat = s.heartbeat
	}
	if d.config.FrameSize == 0 {
		d.config.FrameSize = frameSize
	}
	if d.config.Locale == "" {
		d.config.Locale = "en_US"
	}
	if s.secure {
		own := cmp.Or(s.config.Connection.TLSConfig, d.config.TLSClientConfig)
		if err := checkOwnTLS(c, own); err != nil {
			return nil, err
		}
		d.tls = func() (*tls.Config, error) { return tlsConfig(c.TLS, own) }
		if _, err := d.tls(); err != nil {
			return nil, err
		}
	}
	if len(d.config.SASL) == 0 {
		d.config.SASL = []amqp.Authentication{authentication(c)}
	}
	return d, nil
}

// vhost is the virtual host of a URL's path: none is "/".
func vhost(path string) string {
	if name := strings.TrimPrefix(path, "/"); name != "" {
		return name
	}
	return "/"
}

func authentication(c transport.Config) amqp.Authentication {
	switch {
	case c.Username != "":
		return &amqp.PlainAuth{Username: c.Username, Password: c.Password.Reveal()}
	case c.TLS != nil && c.TLS.CertFile != "":
		return &amqp.ExternalAuth{}
	default:
		return &amqp.PlainAuth{Username: "guest", Password: "guest"}
	}
}

// connect tries the addresses in turn and returns the first connection. ctx bounds it as a whole.
func (d *dialer) connect(ctx context.Context, role string, desks int) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var errs []error
	for _, address := range d.addresses {
		s, err := d.open(ctx, address, role, desks)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		errs = append(errs, fmt.Errorf("connect to RabbitMQ at %s: %w", address, err))
	}
	if !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, errUnreached) }) {
		return nil, &absence{errs}
	}
	return nil, errors.Join(errs...)
}

// absence is the error of an attempt that reached no broker at all.
type absence struct{ errs []error }

func (a *absence) Error() string { return errors.Join(a.errs...).Error() }

func (a *absence) Unwrap() []error { return a.errs }

func (d *dialer) open(ctx context.Context, address, role string, desks int) (*session, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	wire, err := d.dial(dialing, "tcp", address)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	line := &hearing{Conn: wire}
	greeting := time.AfterFunc(greetingTimeout, func() {
		if !line.heard.Load() {
			_ = wire.Close()
		}
	})
	defer greeting.Stop()
	// The handshake of the client library knows no context.
	stop := context.AfterFunc(ctx, func() { _ = wire.Close() })
	stream, conn, err := d.handshake(ctx, line, address, role, desks)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = wire.Close()
		if !line.heard.Load() {
			// A load balancer accepts for a broker that is away, and a stopped process for nobody.
			return nil, fmt.Errorf("%w: the connection ended before a word from the other side: %w", errUnreached, err)
		}
		return nil, explained(err, d.config.Vhost)
	}
	return newSession(conn, stream), nil
}

func (d *dialer) handshake(ctx context.Context, wire *hearing, address, role string, desks int) (*stream, *amqp.Connection, error) {
	s := newStream(wire, wire, desks)
	if d.tls != nil {
		config, err := d.tls()
		if err != nil {
			return nil, nil, err
		}
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		secure := tls.Client(wire, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, nil, explainedTLS(err)
		}
		s.Conn = secure
	}
	config := d.config
	// The library writes into the properties of each connection.
	config.Properties = amqp.NewConnectionProperties()
	config.Properties.SetClientConnectionName(d.app + " " + role)
	maps.Copy(config.Properties, d.config.Properties)
	conn, err := amqp.Open(s, config)
	if err != nil {
		if d.tls != nil && ctx.Err() == nil && !s.intake.heard.Load() {
			// TLS 1.3 refuses a client after the client's part of the handshake, and the reason may be lost with the connection.
			err = fmt.Errorf("the server ended the connection before a word of AMQP; if it asks for certificates, give it cert_file and key_file that it trusts: %w", err)
		}
		return nil, nil, err
	}
	s.tuned(conn.Config.FrameSize, d.pack)
	return s, conn, nil
}

// explained adds what to do to the broker's refusals.
func explained(err error, vhost string) error {
	switch {
	case errors.Is(err, amqp.ErrCredentials), serverCode(err) == amqp.AccessRefused:
		return fmt.Errorf("user or password is wrong, or the user has no access to vhost %q: %w", vhost, err)
	case errors.Is(err, amqp.ErrVhost), serverCode(err) == amqp.NotAllowed:
		return fmt.Errorf("vhost %q does not exist, or the user has no access to it; the vhost is the path of the URL: %w", vhost, err)
	default:
		return err
	}
}

package transport_test

import (
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
)

// FuzzParseURL proves that any text is either an address or an error, that an address is the same when it is read from
// its own text, and that a password is in neither.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"memory://", "amqp://user:s3cr3t@host:5672/vhost?queue_type=classic", "amqps://h1,h2/%2f", "amqp://u:p%40w@h/a%0d%0ab",
		"amqp://[::1]:5672/", "x://@/?a=1&a=2", "://", "amqp://u:%zz@h/", "nats://h/ /../*>#",
		"amqp://u:pa/ss@h/", "amqp://u:pa?ss@h/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		defer hangtest.Watch()()
		const secret = "c4n4ry-passw0rd"
		c, err := transport.ParseURL(raw)
		if err == nil {
			if strings.ContainsAny(c.URL.Host, " \r\n") || strings.ContainsAny(c.URL.Path, "\r\n\x00") {
				t.Errorf("%q got through: %+v", raw, c.URL)
			}
			again, err := transport.ParseURL(c.URL.String())
			if err != nil || again.URL != c.URL {
				t.Errorf("%q became %q, and that %+v: %v", raw, c.URL, again.URL, err)
			}
		}
		scheme, rest, found := strings.Cut(raw, "://")
		if !found || strings.Contains(scheme, secret) || strings.Contains(rest, secret) {
			return
		}
		with, err := transport.ParseURL(scheme + "://user:" + secret + "@" + rest)
		switch {
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("the password is in the error: %v", err)
		case err == nil && strings.Contains(with.URL.String(), secret) && !strings.Contains(authority(rest), "@"):
			t.Errorf("the password is in the address: %s", with.URL)
		}
	})
}

// authority is what stands before the first slash or question mark.
func authority(rest string) string {
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[:i]
	}
	return rest
}

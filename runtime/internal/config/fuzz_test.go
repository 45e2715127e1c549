package config_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/internal/config"
)

// FuzzLoad proves that no file makes Load panic or think for long, and that it either gives a configuration or says in which
// line of the file what is wrong, without what a variable holds.
func FuzzLoad(f *testing.F) {
	f.Add(full)
	for _, r := range refusals {
		if len(r.file) < 1000 {
			f.Add(r.file)
		}
	}
	f.Add("version: 1\ntransport: \"amqp://u:${S}@rabbit\"\napp: ${S}\ndefaults: {timeout: \"${S}\"}\n")
	f.Add("version: 1\ntransports: {\"${S}\": {url: \"${S}\", options: {a: \"${S}\"}, tls: {ca_file: \"${S}\", \"${S}\": 1}}}\nbindings: {\"${S}\": {transport: \"${S}\"}}\n")
	f.Fuzz(func(t *testing.T, file string) {
		defer hangtest.Watch()()
		const secret = "c4n4ry!s3cr3t"
		c, err := config.Load("async.yaml", []byte(file), lookup(map[string]string{"A": "${A}", "B": "\x00", "S": secret}))
		if c == nil {
			t.Fatal("the Config is nil")
		}
		if err == nil {
			c.Find("a.B", "C")
			return
		}
		var all *config.Error
		if !errors.As(err, &all) || len(all.Problems) == 0 {
			t.Fatalf("got %T, want an *Error with problems", err)
		}
		if !strings.Contains(file, secret) && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds what a variable holds: %v", err)
		}
		lines := strings.Count(file, "\n") + strings.Count(file, "\r") + strings.Count(file, "\u2028") +
			strings.Count(file, "\u2029") + strings.Count(file, "\u0085") + 2
		for _, p := range all.Problems {
			if p.Pos.File != "async.yaml" || p.Pos.Line < 1 || p.Pos.Line > lines || p.Pos.Column < 1 || p.What == "" {
				t.Errorf("a problem without a place or a text: %+v", p)
			}
		}
	})
}

// grammar is that of names, said once more in another way.
var grammar = regexp.MustCompile(`^[A-Za-z0-9_]+(([.]|-|([.]-)+[.]?|(-[.])+-?)[A-Za-z0-9_]+)*$`)

// FuzzPortable proves that no name gets through that a broker could take for something else, and none is refused that is
// portable.
func FuzzPortable(f *testing.F) {
	for _, seed := range []string{
		"", "acme.orders.v1.Orders.Ship", "a-b", "-a", "a-", "a--b", "a..b", ".a", "a.", "a.-b", "a b", "a/b", "*", ">", "#", "a\r\nPUB evil 0", "..", "\u0430", "a\x00", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		defer hangtest.Watch()()
		if got, want := config.Portable(name), grammar.MatchString(name); got != want {
			t.Errorf("%q: got %t, and the grammar says %t", name, got, want)
		}
	})
}

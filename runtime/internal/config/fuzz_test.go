package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/internal/config"
)

// FuzzLoad proves that no file makes Load panic, and that it either gives a configuration or says in which line of the
// file what is wrong.
func FuzzLoad(f *testing.F) {
	f.Add(full)
	for _, r := range refusals {
		if len(r.file) < 1000 {
			f.Add(r.file)
		}
	}
	f.Fuzz(func(t *testing.T, file string) {
		c, err := config.Load("async.yaml", []byte(file), lookup(map[string]string{"A": "${A}", "B": "\x00"}))
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
		lines := strings.Count(file, "\n") + strings.Count(file, "\r") + strings.Count(file, "\u2028") +
			strings.Count(file, "\u2029") + strings.Count(file, "\u0085") + 2
		for _, p := range all.Problems {
			if p.Pos.File != "async.yaml" || p.Pos.Line < 1 || p.Pos.Line > lines || p.Pos.Column < 1 || p.What == "" {
				t.Errorf("a problem without a place or a text: %+v", p)
			}
		}
	})
}

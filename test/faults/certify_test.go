package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs one command of the program.
func command(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := run(ctx, args, &stdout, &stderr)
	return stdout.String() + stderr.String(), err
}

// TestASetUpOfOnesOwnIsCertified goes the way of the README, at a broker that a configuration names.
func TestASetUpOfOnesOwnIsCertified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("async.yaml"), []byte("version: 1\ntransport: memory://certified\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A broker in memory lasts as long as somebody uses it.
	keeper, err := async.Open(t.Context(), async.WithURL("memory://certified"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keeper.Close() }()
	at := []string{"--config", in("async.yaml"), "--stream", "commands"}
	ctx, stop := context.WithCancel(t.Context())
	consumed := make(chan error, 1)
	go func() {
		_, err := command(ctx, append(append([]string{"consume"}, at...), "--journal", in("consumer"), "--poison", "10")...)
		consumed <- err
	}()
	eventually(t, "the consumer is ready", func() bool { return len(read(t, in("consumer"))) > 0 })
	if said, err := command(t.Context(), append(append([]string{"produce"}, at...), "--journal", in("producer"), "--keys", "2", "--count", "60", "--rate", "10000")...); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	eventually(t, "all is handled, the poison three times", func() bool {
		n := 0
		for _, e := range read(t, in("consumer")) {
			if e.Kind == journal.Began {
				n++
			}
		}
		return n == 54+3*6
	})
	stop()
	if err := <-consumed; err != nil {
		t.Fatal(err)
	}
	journals := []string{"check", "--producer", in("producer"), "--consumer", in("consumer")}
	for _, step := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing was broken", append(journals, "--poison", "10"), "nothing was injected, so nothing was proven"},
		{"what became a dead letter is not lost", append(journals, "--poison", "10", "--faults", "1"), "6 lost: run-"},
		{"no time", append(journals, "--healed", "yesterday"), `"yesterday" is no time`},
	} {
		if said, err := command(t.Context(), step.args...); err == nil || !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: %v, want %q: %s", step.name, err, step.want, said)
		}
	}
	if said, err := command(t.Context(), append(append([]string{"exhume"}, at...), "--journal", in("dead"))...); err != nil || said != "6 dead letters\n" {
		t.Fatalf("%v: %s", err, said)
	}
	said, err := command(t.Context(), append(journals, "--consumer", in("dead"), "--poison", "10", "--faults", "1", "--healed", "2026-01-31T15:04:05Z", "--out", dir)...)
	if err != nil || !strings.Contains(said, "injected 1, accepted 60, processed 54, dead 6, lost 0") {
		t.Errorf("%v: %s", err, said)
	}
	var results []map[string]any
	text, err := os.ReadFile(in("reliability.json"))
	if err != nil || json.Unmarshal(text, &results) != nil || len(results) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	for _, column := range []string{"fault", "queue", "accepted", "processed", "injected", "lost", "phantom", "duplicate", "reordered", "misdelivered", "corrupt", "stuck", "seconds", "began"} {
		if _, there := results[0][column]; !there {
			t.Errorf("the result has no %s: %s", column, text)
		}
	}
	if page, err := os.ReadFile(in("reliability.md")); err != nil || !strings.Contains(string(page), "| own | own | faults of your own |") {
		t.Errorf("%v: %s", err, page)
	}
}

func TestNothingAcceptedIsAFailure(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	if said, err := command(t.Context(), "check", "--producer", none, "--consumer", none, "--faults", "1"); err == nil || !strings.Contains(err.Error(), "nothing was accepted") {
		t.Errorf("%v: %s", err, said)
	}
}

func read(t *testing.T, path string) []journal.Entry {
	t.Helper()
	entries, err := journal.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

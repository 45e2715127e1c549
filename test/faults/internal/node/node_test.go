package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/asyncpb/async/test/faults/internal/node"
)

func TestANodeCanBeKilledAndComesBack(t *testing.T) {
	n, err := node.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, end := range []func() error{n.Kill, n.Stop, n.Kill} {
		began := time.Now()
		if err := n.Start(ctx); err != nil {
			t.Fatal(err)
		}
		t.Log("started in", time.Since(began))
		began = time.Now()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		t.Log("ended in", time.Since(began))
	}
}

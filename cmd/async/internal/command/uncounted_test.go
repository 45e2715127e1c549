package command_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func init() {
	transport.Register("leaderless", func(ctx context.Context, c transport.Config) (transport.Transport, error) {
		tr, err := memorytransport.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return leaderless{tr.(*memorytransport.Transport)}, nil
	})
}

// leaderless is a broker in memory that cannot count the queues of the group orders.
type leaderless struct{ *memorytransport.Transport }

func (l leaderless) Queues(ctx context.Context, names ...string) ([]transport.QueueInfo, error) {
	if slices.Contains(names, shipDead) {
		return nil, fmt.Errorf("queue %q: %w", shipDead, transport.ErrNotCounted)
	}
	return l.Transport.Queues(ctx, names...)
}

func TestAQueueThatCannotBeCountedHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	const other, otherQueue = "shop.v1.Orders.Placed", "shop.v1.Orders.Placed--billing"
	name := uuid.NewString()
	b := newBroker(t, "memory://"+name)
	b.declare(shipTopic, "orders")
	b.declare(other, "billing")
	b.send(otherQueue+"--dead", nil, failed("a", transport.MetaDeadTopic, other, transport.MetaDeadGroup, "billing"))
	b.send(shipDead, nil, failed("b"))
	tool := func(args ...string) outcome {
		return runTool(t.Context(), append(args, "--url", "leaderless://"+name)...)
	}
	all := []string{"--descriptors", descriptors(t), "--app", "billing"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{append([]string{"group", "ls"}, all...), other},
		{append([]string{"dead", "ls"}, all...), other + ", group billing: 1 dead letter\n"},
		{append([]string{"dead", "replay"}, all...), other + ", group billing: 1 dead letter replayed\n"},
		{[]string{"group", "ls", "--topic", shipTopic, "--group", "orders"}, ""},
		{[]string{"group", "rm", "--topic", shipTopic, "--group", "orders"}, ""},
	} {
		o := tool(tt.args...)
		if o.code != 1 || !strings.Contains(o.stdout, tt.want) || !strings.Contains(o.stderr, shipDead) {
			t.Errorf("%v: exit code %d, want 1\n%s\n%s", tt.args, o.code, o.stdout, o.stderr)
		}
		if strings.Contains(o.stdout, shipTopic) || strings.Contains(o.stdout, "no groups") {
			t.Errorf("%v speaks of what it could not see:\n%s", tt.args, o.stdout)
		}
	}
	if n := b.count(otherQueue); n != 1 {
		t.Errorf("%d messages were replayed, want 1", n)
	}
	if n := b.count(shipDead); n != 1 {
		t.Errorf("%d dead letters are left in the queue that was not counted, want 1", n)
	}
}

package access_test

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// TestADeletedDelayQueueIsMadeAgain lets an operator delete a queue that all services of a vhost share, while its exchange
// stays: the next service that starts finds only half of what it looks for.
func TestADeletedDelayQueueIsMadeAgain(t *testing.T) {
	vhost := deploy(t)
	for _, queue := range []string{"async.delay.parked", "async.delay.18"} {
		control(t, "delete_queue", "--vhost", vhost, queue)
		declareAll(t, vhost)
		out, err := broker.Control(context.Background(), "list_queues", "--vhost", vhost, "--no-table-headers", "--quiet", "name")
		must(t, err)
		if !slices.Contains(strings.Fields(out), queue) {
			t.Errorf("%s is gone for good", queue)
		}
	}
}

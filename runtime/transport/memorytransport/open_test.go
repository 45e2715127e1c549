package memorytransport_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"an unknown option":       "memory://?size=3",
		"a capacity of nothing":   "memory://?capacity=0",
		"a capacity that is text": "memory://?capacity=many",
		"a user":                  "memory://me@name",
		"a path":                  "memory://name/path",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tr, err := openURL(t, url); err == nil {
				closeTransport(t, tr)
				t.Errorf("%s was opened", url)
			}
		})
	}
}

func TestNamesShareABroker(t *testing.T) {
	t.Parallel()
	first, second, other := mustOpen(t, "memory://shared"), mustOpen(t, "memory://shared"), mustOpen(t, "memory://")
	declare(t, first, transport.Subscription{Topic: "t", Group: "g"})
	send(t, second, transport.Publication{Topic: "t", Mandatory: true}, "1")
	if infos, err := other.Queues(t.Context()); err != nil || len(infos) != 0 {
		t.Errorf("a private broker has queues %v, error %v", infos, err)
	}
	closeTransport(t, first)
	if _, err := first.Queues(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if diff := cmp.Diff([]string{"1"}, takeAll(t, second, "t--g")); diff != "" {
		t.Errorf("after the close of the first (-want +got):\n%s", diff)
	}
	if _, err := openURL(t, "memory://shared?capacity=7"); err == nil {
		t.Error("two capacities for one broker were taken")
	}
	closeTransport(t, second)
	third := mustOpen(t, "memory://shared?capacity=7")
	if infos, err := third.Queues(t.Context()); err != nil || len(infos) != 0 {
		t.Errorf("the broker outlived its transports: queues %v, error %v", infos, err)
	}
	closeTransport(t, third)
	closeTransport(t, other)
}

func openURL(t *testing.T, url string) (transport.Transport, error) {
	t.Helper()
	c, err := transport.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return transport.Default.Open(t.Context(), c)
}

func mustOpen(t *testing.T, url string) *memorytransport.Transport {
	t.Helper()
	tr, err := openURL(t, url)
	if err != nil {
		t.Fatal(err)
	}
	memory, ok := tr.(*memorytransport.Transport)
	if !ok {
		t.Fatalf("%s opened a %T", url, tr)
	}
	return memory
}

package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

// bareURL is the broker's address without user and password, and these for a credentials file.
func bareURL(t *testing.T) (address, credentials string) {
	t.Helper()
	u, err := url.Parse(brokerURL())
	if err != nil {
		t.Fatal(err)
	}
	credentials = "guest:guest"
	if password, given := u.User.Password(); given {
		credentials = u.User.Username() + ":" + password
	}
	u.User = nil
	return u.String(), credentials
}

func TestTheConfigurationChoosesTheBrokerAndReadsCredentialsFromAFile(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	address, credentials := bareURL(t)
	path := writeFile(t, "async.yaml", fmt.Sprintf(`version: 1
app: billing
namespace: %s
require: durable
transports:
  main: {url: %q, credentials_file: %q, declare: create}
`, r.name, address, writeFile(t, "credentials", credentials+"\n")))
	rt := open(t, async.WithConfigFile(path))
	got := make(chan received, 1)
	err := ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error {
		return receive(ctx, e, got)
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, rt)
	event := &ordersv1.OrderPlaced{OrderId: "o-1"}
	if err := ordersv1async.NewOrderEventsPublisher(rt).Placed(bounded(t), event); err != nil {
		t.Fatal(err)
	}
	in := await(t, got, "the event")
	equal(t, "the event", in.msg, event)
	if in.info.Source != "billing" || in.info.Group != "billing" || in.info.Topic != r.topic(ordersv1async.OrderEventsPlacedTopic) {
		t.Errorf("app and namespace of the file are not in force: %+v", in.info)
	}
	if h := rt.Health(bounded(t)); len(h.Transports) != 1 || h.Transports[0].System != "rabbitmq" || h.Transports[0].Name != "main" {
		t.Errorf("the transports are %+v", h.Transports)
	}
}

func TestARefusedPasswordIsNotInTheError(t *testing.T) {
	t.Parallel()
	dial(t)
	address, _ := bareURL(t)
	path := writeFile(t, "async.yaml", fmt.Sprintf("version: 1\ntransports:\n  main: {url: %q, credentials_file: %q}\n",
		address, writeFile(t, "credentials", "guest:tr0ub4dor")))
	rt, err := async.Open(bounded(t), async.WithConfigFile(path))
	if err == nil {
		_ = rt.Close()
		t.Fatal("a wrong password opened a transport")
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "tr0ub4dor") || !strings.Contains(text, "main") {
		t.Errorf("the error names no transport, or shows the password: %s", text)
	}
}

// places is what an error says of each place in file, by "line:column".
func places(err error, file string) map[string]string {
	found := make(map[string]string)
	if err == nil {
		return found
	}
	for line := range strings.Lines(err.Error()) {
		if _, rest, ok := strings.Cut(line, file+":"); ok {
			place, text, _ := strings.Cut(rest, ": ")
			found[place] = strings.TrimSpace(text)
		}
	}
	return found
}

func TestOpenListsEveryMistakeOfTheConfigurationWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want map[string]string
	}{
		"what the file says and what this binary lacks": {
			text: `version: 1
app: billing
transport: memory://
bindings:
  acme.orders.v1.Orders/Quota: {timeout: 2s}
  acme.orders.v1.Orders: {concurrency: none}
  acme.orders.v1.OrderPlaced: {concurrency: 3}
  acme.unknown.v1.Elsewhere/Anything: {concurrency: 3}
`,
			want: map[string]string{"5:3": "no rpc Quota", "6:40": "whole number", "7:3": "no service"},
		},
		"what this binary and what the transport lacks": {
			text: `version: 1
transport: memory://
require: durable
bindings:
  acme.orders.v1.Orders/Quota: {timeout: 2s}
`,
			want: map[string]string{"3:10": "durable", "5:3": "no rpc Quota"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "async.yaml", test.text)
			rt, err := async.Open(bounded(t), async.WithConfigFile(path))
			if err == nil {
				_ = rt.Close()
				t.Fatal("a wrong configuration was opened")
			}
			got := places(err, filepath.Base(path))
			for place, want := range test.want {
				if !strings.Contains(got[place], want) {
					t.Errorf("nothing is said about %q at %s", want, place)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%d places are named, want %d:\n%v", len(got), len(test.want), err)
			}
		})
	}
}

func TestAnOrderedRPCOnATransportWithoutOrderIsRefusedWithThePlaceOfItsBinding(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "async.yaml", `version: 1
app: billing
transport: memory://
transports:
  fast: {url: "gochannel://"}
bindings:
  acme.orders.v1.OrderEvents/Moved: {transport: fast}
`)
	rt := open(t, async.WithConfigFile(path))
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, async.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", what, err)
			return
		}
		if text := places(err, filepath.Base(path))["7:49"]; !strings.Contains(text, "ordered by key") {
			t.Errorf("%s: the error does not name the place 7:49: %v", what, err)
		}
	}
	check("send", ordersv1async.NewOrderEventsPublisher(rt).Moved(bounded(t), &ordersv1.OrderMoved{Order: 1}))
	check("subscribe", ordersv1async.NewOrderEventsSubscriber(rt).OnMoved(func(context.Context, *ordersv1.OrderMoved) error { return nil }))
	check("run", rt.Run(bounded(t)))
}

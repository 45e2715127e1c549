package access_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// canary is every secret of these tests.
const canary = "c4n4ry-s3cr3t"

// TestSecretsShowNowhere puts a password through everything that can fail and listens to all that is said: errors, logs from
// debug on, spans, metrics, log records, health, and what travels with messages.
func TestSecretsShowNowhere(t *testing.T) {
	t.Setenv("ACCESS_TEST_SECRET", canary)
	vhost := newVhost(t)
	const user = "canary-app"
	newUser(t, vhost, user, canary, all)
	e := newEvidence()
	openWhatFails(t, e, vhost)
	rt := open(t, configuration(t, vhost, user, canary, "create"), e.options()...)
	failHandlers(t, e, rt)
	loseAccess(t, e, rt, user)

	spans, records, err := e.telemetry()
	must(t, err)
	if spans == 0 || records == 0 {
		t.Errorf("%d spans and %d records were heard", spans, records)
	}
	// Each of these is said where the secret would have been.
	missing := e.mentions("canary-message", "a handler panicked", "user or password is wrong", "credentials_file", "ca_file", "the connection to RabbitMQ was lost",
		"malformed", "does not speak TLS", "plain text", `vhost "nowhere"`, "connection refused", "[redacted]")
	if len(missing) > 0 {
		t.Errorf("these were not heard: %q", missing)
	}
	if n := e.holds(user, canary); n != 0 {
		t.Errorf("the secret was said %d times", n)
	}
	_, _ = fmt.Fprintf(e, "amqp://%s:%s@rabbit", user, canary)
	if n := e.holds(user, canary); n == 0 {
		t.Error("a secret that is said is not heard")
	}
}

// openWhatFails opens what cannot be opened, with the secret in it.
func openWhatFails(t *testing.T, e *evidence, vhost string) {
	t.Helper()
	address := broker.Address()
	for _, url := range []string{
		"amqp://app:" + canary + "@bad host/", "amqp://app:" + canary + "%zz@rabbit/", "app:" + canary + "@rabbit", "amqp:/app:" + canary + "@rabbit",
		"amqp://app:" + canary + "/x@rabbit/", "amqp://app:" + canary + "?x@rabbit/", "amqp://app:" + canary + "#x@rabbit:1/", "amqp://app:" + canary + "@rabbit/?a=1&a=2",
		"pigeon://app:" + canary + "@loft/", canary, "amqp://app:" + canary + "@127.0.0.1:1/", "amqp://app:" + canary + "@rabbit.example/",
		"amqp://app:" + canary + "@" + address + "/" + vhost, "amqp://canary-app:" + canary + "@" + address + "/nowhere",
		"amqps://app:" + canary + "@" + address + "/", "amqp://app:" + canary + "@" + address + "/?colour=red", "amqp://app:" + canary + "@/",
		"memory://app:" + canary + "@a b/", "memory://app:" + canary + "@x/?y=1", "amqp://app:" + canary + "@" + address + ",127.0.0.1:1/",
	} {
		fails(t, e, url, async.WithURL(url))
	}
	for _, url := range []string{canary, "app:" + canary + "@rabbit", "amqp://app:" + canary + "%zz@rabbit/", "amqp://app:" + canary + "@127.0.0.1:1/"} {
		t.Setenv("ASYNC_TRANSPORT", url)
		fails(t, e, "ASYNC_TRANSPORT="+url)
	}
	t.Setenv("ASYNC_TRANSPORT", "")
	secret := func(name string) string { return file(t, name, canary+"\n") }
	for name, text := range map[string]string{
		"a password in the file":                      `url: "amqp://app:` + canary + `@rabbit/"`,
		"a password in a default":                     `url: "amqp://app:${ACCESS_TEST_NONE:-` + canary + `}@rabbit/"`,
		"a password that a variable holds":            `url: "amqp://app:${ACCESS_TEST_SECRET}@` + address + `/"`,
		"a password and a credentials file":           `url: "amqp://app:${ACCESS_TEST_SECRET}@` + address + `/", credentials_file: x`,
		"a variable that is no URL":                   `url: "${ACCESS_TEST_SECRET}"`,
		"a variable in the wrong place":               `url: "memory://", declare: "${ACCESS_TEST_SECRET}"`,
		"a variable as a boolean":                     `url: "memory://", insecure: "${ACCESS_TEST_SECRET}"`,
		"credentials that are no pair":                `url: "amqp://` + address + `/", credentials_file: ` + secret("credentials"),
		"credentials that are wrong":                  `url: "amqp://` + address + `/", credentials_file: ` + file(t, "credentials", "app:"+canary),
		"credentials of several lines":                `url: "amqp://` + address + `/", credentials_file: ` + file(t, "credentials", "app:"+canary+"\nx:y\n"),
		"an authority that is no certificate":         `url: "amqps://` + address + `/", tls: {ca_file: ` + secret("ca.pem") + `}`,
		"a key that is none":                          `url: "amqps://` + address + `/", tls: {cert_file: ` + secret("cert.pem") + `, key_file: ` + secret("key.pem") + `}`,
		"a key with a header and nothing else in it":  `url: "amqps://` + address + `/", tls: {cert_file: ` + secret("cert.pem") + `, key_file: ` + file(t, "key.pem", "-----BEGIN PRIVATE KEY-----\n"+canary+"\n-----END PRIVATE KEY-----\n") + `}`,
		"an option of the driver's that is a secret":  `url: "amqp://` + address + `/", options: {password: "${ACCESS_TEST_SECRET}"}`,
		"a name of a certificate that is a variable":  `url: "amqps://` + address + `/", tls: {server_name: "${ACCESS_TEST_SECRET}", ca: x}`,
		"a credentials file with a secret for a name": `url: "amqp://` + address + `/", password: ` + canary,
	} {
		fails(t, e, name, async.WithConfigFile(file(t, "async.yaml", "version: 1\ntransports: {main: {"+text+"}}\n")))
	}
}

// fails opens what cannot be opened and keeps what is said about it.
func fails(t *testing.T, e *evidence, what string, opts ...async.Option) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rt, err := async.Open(ctx, append(e.options(), opts...)...)
	if err == nil {
		must(t, rt.Close())
		t.Errorf("it was opened: %s", strings.ReplaceAll(what, canary, "…"))
		return
	}
	e.add(err)
}

// failHandlers lets handlers print what they hold of the configuration.
func failHandlers(t *testing.T, e *evidence, rt *async.Runtime) {
	t.Helper()
	config, err := transport.ParseURL("amqp://canary-app:" + os.Getenv("ACCESS_TEST_SECRET") + "@rabbit/")
	must(t, err)
	ended := make(chan struct{}, 8)
	subscriber := ordersv1async.NewOrdersSubscriber(rt)
	must(t, subscriber.OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		ended <- struct{}{}
		panic(fmt.Sprintf("%+v %#v", config, &config))
	}))
	must(t, subscriber.OnArchive(func(context.Context, *ordersv1.ArchiveRequest) error {
		ended <- struct{}{}
		return async.Reject(fmt.Errorf("cannot log in with %v", config.Password))
	}))
	must(t, subscriber.OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return nil, fmt.Errorf("cannot log in with %+v", config)
	}))
	run(t, rt)
	publisher := ordersv1async.NewOrdersPublisher(rt)
	must(t, publisher.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "x"}, async.WithMessageID("canary-message")))
	must(t, publisher.Archive(t.Context(), &ordersv1.ArchiveRequest{OrderId: "x"}))
	for range 3 { // two attempts of one, one of the other
		next(t, ended, "a handler")
	}
	_, err = ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{})
	e.add(err)
	browser, ok := rt.Carrier("", "").Transport.(transport.Browser)
	if !ok {
		t.Fatal("RabbitMQ cannot be browsed")
	}
	queue := transport.DeadName("prod."+ordersv1async.OrdersShipTopic, "orders")
	until(t, "the dead letter", func() bool {
		dead, err := browser.Take(t.Context(), queue, 1)
		must(t, err)
		for _, d := range dead {
			e.message(d)
			d.Settle(transport.Ack, nil)
		}
		return len(dead) > 0
	})
}

// loseAccess changes the password under a runtime that is connected.
func loseAccess(t *testing.T, e *evidence, rt *async.Runtime, user string) {
	t.Helper()
	control(t, "change_password", user, "another")
	control(t, "close_all_user_connections", user, "a test")
	until(t, "the refusal is in the health", func() bool {
		health := rt.Health(t.Context())
		e.add(health)
		e.add(health.Err())
		return health.Err() != nil && strings.Contains(health.Err().Error(), "user or password is wrong")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "x"})
	if err == nil {
		t.Error("a message was sent without a connection")
	}
	e.add(err)
	control(t, "change_password", user, canary)
	until(t, "the connection is back", func() bool { return rt.Health(t.Context()).Err() == nil })
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

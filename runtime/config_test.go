package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asynctest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// configured opens a runtime with a configuration file and closes it at the end of the test.
func configured(t *testing.T, yaml string, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), append([]async.Option{async.WithConfigFile(written(t, "async.yaml", yaml))}, opts...)...)
	must(t, err)
	t.Cleanup(func() { must(t, rt.Close()) })
	return rt
}

func written(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestTheMostSpecificSettingWins(t *testing.T) {
	t.Parallel()
	// The contract says 3 attempts for Orders, 1 for its Archive, and nothing for OrderEvents.
	tests := map[string]struct {
		yaml                   string
		ship, archived, placed int
	}{
		"the contract, and the built-in values where it is silent": {"", 3, 1, 8},
		"defaults stand below the contract":                        {"defaults: {retry: {max_attempts: 5}}", 3, 1, 5},
		"a service's binding stands above the contract":            {"bindings: {acme.orders.v1.Orders: {retry: {max_attempts: 4}}}", 4, 4, 8},
		"an rpc's binding stands above its service's": {
			"bindings: {acme.orders.v1.Orders: {retry: {max_attempts: 4}}, acme.orders.v1.Orders/Ship: {retry: {max_attempts: 2}}}", 2, 4, 8,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := written(t, "async.yaml", "version: 1\n"+test.yaml)
			synctest.Test(t, func(t *testing.T) {
				rt := asynctest.New(t, async.WithConfigFile(file))
				fail := errors.New("no luck")
				orders := ordersv1async.NewOrdersSubscriber(rt.Runtime)
				must(t, errors.Join(
					orders.OnShip(func(context.Context, *ordersv1.ShipRequest) error { return fail }),
					orders.OnArchive(func(context.Context, *ordersv1.ArchiveRequest) error { return fail }),
					ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return fail }),
				))
				rt.Start()
				publisher := ordersv1async.NewOrdersPublisher(rt.Runtime)
				must(t, errors.Join(
					publisher.Ship(t.Context(), &ordersv1.ShipRequest{}),
					publisher.Archive(t.Context(), &ordersv1.ArchiveRequest{}),
					ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{}),
				))
				rt.WaitIdle(time.Hour)
				got := make(map[string]int)
				for _, a := range rt.Attempts() {
					got[a.RPC]++
				}
				want := map[string]int{
					"acme.orders.v1.Orders/Ship": test.ship, "acme.orders.v1.Orders/Archive": test.archived, "acme.orders.v1.OrderEvents/Placed": test.placed,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheFileNamesTheApplicationAndTheNamespace(t *testing.T) {
	t.Parallel()
	rt := configured(t, "version: 1\napp: billing\nnamespace: dev\ntransport: memory://")
	infos := make(chan *async.Info, 1)
	must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, _ *ordersv1.OrderPlaced) error {
		info, _ := async.InfoFrom(ctx)
		infos <- info
		return nil
	}))
	run(t, rt)
	must(t, ordersv1async.NewOrderEventsPublisher(rt).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "1"}))
	info := next(t, infos)
	if info.Group != "billing" || info.Source != "billing" || info.Topic != "dev."+ordersv1async.OrderEventsPlacedTopic {
		t.Errorf("group %q, source %q, topic %q", info.Group, info.Source, info.Topic)
	}
}

func TestEachRPCGoesToItsTransport(t *testing.T) {
	t.Parallel()
	rt := configured(t, `
version: 1
app: app
transport: main
transports:
  main: {url: "memory://each-main"}
  fast: {url: "memory://each-fast"}
bindings:
  acme.orders.v1.Orders: {transport: fast}
  acme.orders.v1.Orders/Archive: {transport: main}
`)
	var names []string
	for _, h := range rt.Health(t.Context()).Transports {
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"main", "fast"}, names); diff != "" {
		t.Errorf("transports (-want +got):\n%s", diff)
	}
	publisher := ordersv1async.NewOrdersPublisher(rt)
	must(t, publisher.Ship(t.Context(), &ordersv1.ShipRequest{}))
	must(t, publisher.Archive(t.Context(), &ordersv1.ArchiveRequest{}))
	for url, want := range map[string]string{
		"memory://each-main": ordersv1async.OrdersArchiveTopic, "memory://each-fast": ordersv1async.OrdersShipTopic,
	} {
		w := &world{url: url}
		queues, err := w.transport(t).(transport.Browser).Queues(t.Context())
		must(t, err)
		var waiting []string
		for _, q := range queues {
			if q.Ready > 0 {
				waiting = append(waiting, q.Name)
			}
		}
		if diff := cmp.Diff([]string{transport.QueueName(want, "orders")}, waiting); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}

func TestTheOnlyTransportOfTheFileIsTheDefault(t *testing.T) {
	t.Parallel()
	rt := configured(t, "version: 1\ntransports: {main: {url: \"memory://\"}}")
	if h := rt.Health(t.Context()).Transports; len(h) != 1 || h[0].Name != "main" {
		t.Errorf("transports: %+v", h)
	}
}

func TestTheCodecIsOnTheWire(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	rt := configured(t, "version: 1\nbindings: {acme.orders.v1.Orders/Ship: {codec: protojson}}", async.WithTransport(broker.Open()))
	publisher := ordersv1async.NewOrdersPublisher(rt)
	must(t, publisher.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	must(t, publisher.Archive(t.Context(), &ordersv1.ArchiveRequest{OrderId: "A-1"}))
	browser := broker.Open()
	defer closeTransport(t, browser)
	for topic, want := range map[string]string{
		ordersv1async.OrdersShipTopic:    `application/json {"orderId":"A-1"}`,
		ordersv1async.OrdersArchiveTopic: "application/protobuf \n\x03A-1",
	} {
		taken, err := browser.Take(t.Context(), transport.QueueName(topic, "orders"), 1)
		must(t, err)
		msg := taken[0].Message()
		if got := msg.Metadata[transport.MetaContentType] + " " + strings.ReplaceAll(string(msg.Payload), " ", ""); got != want {
			t.Errorf("%s: got %q, want %q", topic, got, want)
		}
		taken[0].Settle(transport.Requeue, nil)
	}
	subscriber := ordersv1async.NewOrdersSubscriber(rt)
	delivery, err := subscriber.ReceiveShip(t.Context())
	must(t, err)
	if delivery.Msg.GetOrderId() != "A-1" {
		t.Errorf("got %v", delivery.Msg)
	}
	must(t, delivery.Settle(t.Context(), nil))
}

func TestTheTimeoutOfARequestIsConfigured(t *testing.T) {
	t.Parallel()
	file := written(t, "async.yaml", "version: 1\nbindings: {acme.orders.v1.Orders/Quote: {timeout: 3s}}")
	synctest.Test(t, func(t *testing.T) {
		rt := asynctest.New(t, async.WithConfigFile(file))
		must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnQuote(func(ctx context.Context, _ *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		rt.Start()
		start := time.Now()
		_, err := ordersv1async.NewOrdersClient(rt.Runtime).Quote(t.Context(), &ordersv1.QuoteRequest{})
		if code, took := async.CodeOf(err), time.Since(start); code != async.CodeDeadlineExceeded || took != 3*time.Second {
			t.Errorf("%v after %s, want DeadlineExceeded after 3s", err, took)
		}
	})
}

// vault is a driver that keeps what it was opened with. Its URLs are "vault://<test>".
var vault = struct {
	sync.Mutex
	opened map[string]transport.Config
}{opened: make(map[string]transport.Config)}

func init() {
	transport.Register("vault", func(_ context.Context, c transport.Config) (transport.Transport, error) {
		vault.Lock()
		defer vault.Unlock()
		vault.opened[c.URL.Host] = c
		return memorytransport.New(), nil
	})
}

func TestADriverIsOpenedWithWhatTheFileSays(t *testing.T) {
	t.Parallel()
	secret := written(t, "credentials", "robot:pass:word\n")
	configured(t, fmt.Sprintf(`
version: 1
app: billing
transports:
  main: {url: "vault://says?color=red", credentials_file: %q, declare: verify, insecure: true, options: {shape: round}}
`, secret))
	vault.Lock()
	got := vault.opened["says"]
	vault.Unlock()
	if got.Username != "robot" || got.Password.Reveal() != "pass:word" {
		t.Errorf("opened as %q with a password of %d bytes", got.Username, len(got.Password.Reveal()))
	}
	if got.Declare != transport.DeclareVerify || !got.Insecure || got.App != "billing" || got.Instance == "" || got.Logger == nil {
		t.Errorf("opened with %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"color": "red", "shape": "round"}, got.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestWhatIsWrongWithAFileIsSaidAtOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"everything is reported, with its place": {
			yaml: "version: 1\ntransport: memory://\nrequire: durable\nbindings:\n  acme.orders.v1.Orders/Shop: {concurrency: 3}\n  acme.orders.v1.ShipRequest: {concurrency: 3}",
			want: []string{
				"async.yaml:3:", "a durable transport is required, and in_memory keeps nothing",
				"async.yaml:5:", "service acme.orders.v1.Orders has no rpc Shop; it has Archive, Quote, Ship",
				"async.yaml:6:", "acme.orders.v1.ShipRequest is no service",
			},
		},
		"problems of the file and of this binary stand together": {
			yaml: "version: 1\nbindings:\n  acme.orders.v1.Orders/Shop: {concurency: 3}",
			want: []string{"concurency", "has no rpc Shop"},
		},
		"a credentials file is missing": {
			yaml: "version: 1\ntransports: {main: {url: \"vault://missing\", credentials_file: /nowhere/at/all}}",
			want: []string{"transport main", "credentials_file", "/nowhere/at/all"},
		},
		"a driver is not there": {
			yaml: "version: 1\ntransport: pigeon://loft",
			want: []string{`scheme "pigeon"`},
		},
		"the transport of one binding cannot be opened": {
			yaml: "version: 1\ntransport: main\ntransports: {main: {url: \"memory://\"}, far: {url: \"pigeon://loft\"}}\nbindings: {acme.orders.v1.Orders: {transport: far}}",
			want: []string{"transport far", `scheme "pigeon"`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := async.Open(t.Context(), async.WithConfigFile(written(t, "async.yaml", test.yaml)))
			if err == nil {
				t.Fatal("it was opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %q in it", err, want)
				}
			}
		})
	}
}

func TestCredentialsThatAreNoPairAreRefusedAndNotShown(t *testing.T) {
	t.Parallel()
	secret := written(t, "credentials", "hunter2\n")
	_, err := async.Open(t.Context(), async.WithConfigFile(written(t, "async.yaml",
		fmt.Sprintf("version: 1\ntransports: {main: {url: \"vault://nopair\", credentials_file: %q}}", secret))))
	if err == nil || !strings.Contains(err.Error(), "<user>:<password>") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestARPCOfTheConnectBridgeIsAnErrorOfEveryCallAndOfRun(t *testing.T) {
	t.Parallel()
	rt := configured(t, "version: 1\nbindings:\n  acme.orders.v1.Orders/Quote: {transport: http}")
	_, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{})
	for _, err := range []error{err, rt.Run(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "async.yaml:3:") || !strings.Contains(err.Error(), "Connect bridge") {
			t.Errorf("got %v, want the place and the bridge", err)
		}
	}
	must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))
}

func TestTheEnvironmentChoosesTheTransportOfEverything(t *testing.T) {
	const yaml = `
version: 1
transport: main
transports: {main: {url: "memory://env-main"}, far: {url: "pigeon://loft"}}
bindings: {acme.orders.v1.Orders: {transport: far}}
`
	t.Setenv("ASYNC_TRANSPORT", "vault://env")
	rt := configured(t, yaml)
	if h := rt.Health(t.Context()).Transports; len(h) != 1 || h[0].System != "in_memory" {
		t.Errorf("transports: %+v", h)
	}
	vault.Lock()
	_, opened := vault.opened["env"]
	vault.Unlock()
	if !opened {
		t.Error("the URL of the environment was not opened")
	}
	must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))

	t.Run("by the name of a transport of the file", func(t *testing.T) {
		t.Setenv("ASYNC_TRANSPORT", "main")
		if h := configured(t, yaml).Health(t.Context()).Transports; len(h) != 1 || h[0].Name != "main" {
			t.Errorf("transports: %+v", h)
		}
	})
	t.Run("an option of the call wins", func(t *testing.T) {
		t.Setenv("ASYNC_TRANSPORT", "pigeon://loft")
		configured(t, yaml, async.WithURL("memory://"))
	})
	t.Run("a name that is not there is an error", func(t *testing.T) {
		t.Setenv("ASYNC_TRANSPORT", "mian")
		_, err := async.Open(t.Context(), async.WithConfigFile(written(t, "async.yaml", yaml)))
		if err == nil || !strings.Contains(err.Error(), "main") {
			t.Errorf("got %v, want a suggestion", err)
		}
	})
}

func TestWithoutAnyConfigurationAWarningSaysThatNothingIsKept(t *testing.T) {
	t.Setenv("ASYNC_TRANSPORT", "")
	var log strings.Builder // nobody else logs: the runtime does nothing
	rt, err := async.Open(t.Context(), async.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	must(t, err)
	must(t, rt.Close())
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "nothing is kept") {
		t.Errorf("logged:\n%s", log.String())
	}
}

func TestATelemetryThatIsNotInTheProgramIsRefused(t *testing.T) {
	t.Parallel()
	_, err := async.Open(t.Context(), async.WithConfigFile(written(t, "async.yaml", "version: 1\ntransport: \"memory://\"\ntelemetry: otel\n")))
	if err == nil || !strings.Contains(err.Error(), `async.yaml:3:12: the telemetry otel is not in this program; add import _ "github.com/asyncpb/async/runtime/asyncotel"`) {
		t.Errorf("got %v", err)
	}
}

func TestATelemetryIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	open := func() async.Telemetry { return new(recorder) }
	async.RegisterTelemetry("recorder", open)
	defer func() {
		if recover() == nil {
			t.Error("a second telemetry of the name was taken")
		}
	}()
	async.RegisterTelemetry("recorder", open)
}

// TestAFileThatIsTooLargeIsNotRead is not parallel: it looks at the memory of the process.
func TestAFileThatIsTooLargeIsNotRead(t *testing.T) { //nolint:paralleltest // see above
	const mib = 1 << 20
	huge := written(t, "huge", "")
	must(t, os.Truncate(huge, 256*mib))
	for name, open := range map[string]async.Option{
		"configuration": async.WithConfigFile(huge),
		"credentials":   async.WithConfigFile(written(t, "async.yaml", "version: 1\ntransports: {main: {url: \"amqp://127.0.0.1:1/\", credentials_file: "+huge+"}}\n")),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := async.Open(t.Context(), open)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%s: %v", name, err)
		}
		if used := (after.TotalAlloc - before.TotalAlloc) / mib; used > 16 {
			t.Errorf("%s: %d MiB of memory were used", name, used)
		}
	}
}

package generate_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/comments/commentsasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/editions/editionsasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/keywords/ctxasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/nameclash/asyncasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/nested/nestedasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/nopackage/nopackageasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/opaque/opaqueasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/orders/ordersv1async"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/policies/policiesasync"
	"github.com/asyncpb/async/protoc-gen-async/internal/testdata/samepackage"
	async "github.com/asyncpb/async/runtime"
)

// exercised is the generated code of one service, as constructors.
type exercised struct {
	publisher, client func(*async.Runtime) any // nil where the service has none
	subscriber        func(*async.Runtime) any
}

func publisher[P any](f func(*async.Runtime, ...async.PublisherOption) P) func(*async.Runtime) any {
	return func(rt *async.Runtime) any { return f(rt) }
}

func client[C any](f func(*async.Runtime, ...async.ClientOption) C) func(*async.Runtime) any {
	return func(rt *async.Runtime) any { return f(rt) }
}

func subscriber[S any](f func(*async.Runtime, ...async.SubscribeOption) S) func(*async.Runtime) any {
	return func(rt *async.Runtime) any { return f(rt) }
}

var services = map[string]exercised{
	"comments Loud":      {publisher(commentsasync.NewLoudPublisher), client(commentsasync.NewLoudClient), subscriber(commentsasync.NewLoudSubscriber)}, //nolint:staticcheck // deprecated code is generated and has to work
	"comments Quiet":     {nil, client(commentsasync.NewQuietClient), subscriber(commentsasync.NewQuietSubscriber)},
	"editions Editions":  {publisher(editionsasync.NewEditionsPublisher), nil, subscriber(editionsasync.NewEditionsSubscriber)},
	"keywords Func":      {publisher(ctxasync.NewFuncPublisher), client(ctxasync.NewFuncClient), subscriber(ctxasync.NewFuncSubscriber)},
	"keywords Kinds":     {publisher(ctxasync.NewKindsPublisher), client(ctxasync.NewKindsClient), subscriber(ctxasync.NewKindsSubscriber)},
	"nameclash Thing":    {publisher(asyncasync.NewThingPublisher), client(asyncasync.NewThingClient), subscriber(asyncasync.NewThingSubscriber)},
	"nested Nests":       {publisher(nestedasync.NewNestsPublisher), client(nestedasync.NewNestsClient), subscriber(nestedasync.NewNestsSubscriber)},
	"nopackage":          {publisher(nopackageasync.NewGoldenNoPackagePublisher), nil, subscriber(nopackageasync.NewGoldenNoPackageSubscriber)},
	"opaque Opaque":      {publisher(opaqueasync.NewOpaquePublisher), nil, subscriber(opaqueasync.NewOpaqueSubscriber)},
	"orders OrderEvents": {publisher(ordersv1async.NewOrderEventsPublisher), nil, subscriber(ordersv1async.NewOrderEventsSubscriber)},
	"orders Orders":      {publisher(ordersv1async.NewOrdersPublisher), client(ordersv1async.NewOrdersClient), subscriber(ordersv1async.NewOrdersSubscriber)},
	"policies Billing":   {publisher(policiesasync.NewBillingPublisher), client(policiesasync.NewBillingClient), subscriber(policiesasync.NewBillingSubscriber)},
	"samepackage Orders": {publisher(samepackage.NewOrdersPublisher), client(samepackage.NewOrdersClient), subscriber(samepackage.NewOrdersSubscriber)},
}

// TestGoldensCarryTheirMessages sends a message through every rpc of every golden package, in each of the ways that were
// generated, and expects the handler to get its fields as they were sent.
func TestGoldensCarryTheirMessages(t *testing.T) {
	t.Parallel()
	for name, g := range services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithApp("app"), async.WithConfigFile(patience(t)))
			if err != nil {
				t.Fatal(err)
			}
			e := &exercise{t: t, subscriber: reflect.ValueOf(g.subscriber(rt)), received: make(chan proto.Message, 10)}
			var calls []func()
			if g.publisher != nil {
				calls = append(calls, e.publisher(reflect.ValueOf(g.publisher(rt)))...)
			}
			if g.client != nil {
				calls = append(calls, e.client(reflect.ValueOf(g.client(rt)))...)
			}
			if len(calls) == 0 {
				t.Fatal("nothing was exercised")
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- rt.Run(ctx) }()
			<-rt.Ready()
			for _, call := range calls {
				call()
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// patience is a configuration for the golden whose annotated timeout is a matter of milliseconds.
func patience(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "async.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nbindings:\n  policies.Billing: {timeout: 30s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// exercise calls generated methods by their names.
type exercise struct {
	t          *testing.T
	subscriber reflect.Value
	received   chan proto.Message
}

// publisher registers a handler for every event and command, and returns the sends to make once the runtime runs.
func (e *exercise) publisher(p reflect.Value) []func() {
	var calls []func()
	for i := range p.NumMethod() {
		method := p.Type().Method(i)
		on := e.subscriber.MethodByName("On" + method.Name)
		form := p.Method(i).Type()
		if !on.IsValid() || !form.In(1).Implements(reflect.TypeFor[proto.Message]()) || form.Out(0) != reflect.TypeFor[error]() {
			continue // the …Async and …Batch forms
		}
		e.register(on, func(args []reflect.Value) []reflect.Value {
			e.received <- asMessage(args[1])
			return []reflect.Value{reflect.Zero(reflect.TypeFor[error]())}
		})
		input := form.In(1)
		calls = append(calls, func() {
			sent := filled(input)
			e.noError(method.Name, p.Method(i).Call(e.arguments(sent))[0])
			e.expect(method.Name, sent)
			receipt, ok := reflect.TypeAssert[*async.Receipt](p.MethodByName(method.Name + "Async").Call(e.arguments(sent))[0])
			if !ok {
				e.t.Fatalf("%sAsync returns no receipt", method.Name)
			}
			if err := receipt.Wait(e.t.Context()); err != nil {
				e.t.Errorf("%sAsync: %v", method.Name, err)
			}
			e.expect(method.Name+"Async", sent)
			batch := reflect.Append(reflect.MakeSlice(reflect.SliceOf(input), 0, 1), reflect.ValueOf(sent))
			e.noError(method.Name+"Batch", p.MethodByName(method.Name + "Batch").Call([]reflect.Value{reflect.ValueOf(e.t.Context()), batch})[0])
			e.expect(method.Name+"Batch", sent)
		})
	}
	return calls
}

// client registers a responder for every request, and returns the calls to make once the runtime runs.
func (e *exercise) client(c reflect.Value) []func() {
	var calls []func()
	for i := range c.NumMethod() {
		method := c.Type().Method(i)
		on := e.subscriber.MethodByName("On" + method.Name)
		if !on.IsValid() || c.Method(i).Type().NumOut() != 2 {
			continue // the …Async form
		}
		output := c.Method(i).Type().Out(0)
		reply := filled(output)
		e.register(on, func(args []reflect.Value) []reflect.Value {
			e.received <- asMessage(args[1])
			return []reflect.Value{reflect.ValueOf(reply), reflect.Zero(reflect.TypeFor[error]())}
		})
		calls = append(calls, func() {
			sent := filled(c.Method(i).Type().In(1))
			results := c.Method(i).Call(e.arguments(sent))
			e.noError(method.Name, results[1])
			e.expect(method.Name, sent)
			if got := asMessage(results[0]); !proto.Equal(got, reply) {
				e.t.Errorf("%s answered %v, want %v", method.Name, got, reply)
			}
		})
	}
	return calls
}

func (e *exercise) register(on reflect.Value, handler func([]reflect.Value) []reflect.Value) {
	e.t.Helper()
	e.noError("On", on.Call([]reflect.Value{reflect.MakeFunc(on.Type().In(0), handler)})[0])
}

func (e *exercise) arguments(msg proto.Message) []reflect.Value {
	return []reflect.Value{reflect.ValueOf(e.t.Context()), reflect.ValueOf(msg)}
}

func (e *exercise) noError(what string, result reflect.Value) {
	e.t.Helper()
	if err, failed := reflect.TypeAssert[error](result); failed {
		e.t.Errorf("%s: %v", what, err)
	}
}

func (e *exercise) expect(what string, sent proto.Message) {
	e.t.Helper()
	select {
	case got := <-e.received:
		if !proto.Equal(got, sent) {
			e.t.Errorf("%s: handled %v, want %v", what, got, sent)
		}
	case <-time.After(10 * time.Second):
		e.t.Errorf("%s: nothing was handled", what)
	}
}

func asMessage(v reflect.Value) proto.Message {
	m, _ := reflect.TypeAssert[proto.Message](v)
	return m
}

// filled is a message of the type with every singular scalar set.
func filled(t reflect.Type) proto.Message {
	m := asMessage(reflect.New(t.Elem()))
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() || f.IsMap() {
			continue
		}
		var v protoreflect.Value
		switch f.Kind() {
		case protoreflect.StringKind:
			v = protoreflect.ValueOfString(strings.ReplaceAll(string(f.Name()), ".", "-"))
		case protoreflect.BytesKind:
			v = protoreflect.ValueOfBytes([]byte(f.Name()))
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(true)
		case protoreflect.EnumKind:
			v = protoreflect.ValueOfEnum(f.Enum().Values().Get(f.Enum().Values().Len() - 1).Number())
		case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
			v = protoreflect.ValueOfInt32(-7)
		case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
			v = protoreflect.ValueOfInt64(-7)
		case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
			v = protoreflect.ValueOfUint32(7)
		case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
			v = protoreflect.ValueOfUint64(7)
		case protoreflect.FloatKind:
			v = protoreflect.ValueOfFloat32(0.5)
		case protoreflect.DoubleKind:
			v = protoreflect.ValueOfFloat64(0.5)
		case protoreflect.MessageKind, protoreflect.GroupKind:
			continue
		}
		m.ProtoReflect().Set(f, v)
	}
	return m
}

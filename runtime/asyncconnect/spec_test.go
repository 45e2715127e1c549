package asyncconnect_test

import (
	"context"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1async"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

func TestThePluginAndTheBridgeReadTheSameContract(t *testing.T) {
	t.Parallel()
	var sent []*async.Spec
	rt := newPlace(t, memory).open(t, "version: 1\n", async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
		return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
			sent = append(sent, out.Spec)
			return next(ctx, out)
		}
	}}))
	echo := &callsv1.EchoRequest{Row: "x"}
	note := &callsv1.NoteRequest{Id: "id-1", By: []byte{0xff, 1}}
	noted := &callsv1.NotedEvent{Shelf: callsv1.Shelf_SHELF_BOTTOM, Urgent: true, Weight: 0.1, Pages: 7}

	// Nobody consumes the request; its error does not matter here, and the others are stored.
	_, _ = callsv1async.NewCallsClient(rt).Echo(t.Context(), echo)
	publisher := callsv1async.NewCallsPublisher(rt)
	if err := publisher.Note(t.Context(), note); err != nil {
		t.Error(err)
	}
	if err := publisher.Noted(t.Context(), noted); err != nil {
		t.Error(err)
	}
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	_, _ = client.Echo(t.Context(), echo)
	if _, err := client.Note(t.Context(), note); err != nil {
		t.Error(err)
	}
	if _, err := client.Noted(t.Context(), noted); err != nil {
		t.Error(err)
	}
	inputs := []proto.Message{echo, note, noted}
	if len(sent) != 2*len(inputs) {
		t.Fatalf("%d messages were sent, want %d", len(sent), 2*len(inputs))
	}
	for i, input := range inputs {
		generated, bridged := sent[i], sent[len(inputs)+i]
		data := cmpopts.IgnoreFields(async.Spec{}, "Input", "Output", "Key", "MessageID", "Headers")
		if diff := cmp.Diff(generated, bridged, data); diff != "" {
			t.Errorf("%s (-plugin +bridge):\n%s", generated.Name(), diff)
		}
		if diff := cmp.Diff(answers(generated, input), answers(bridged, input)); diff != "" {
			t.Errorf("%s, what its functions say (-plugin +bridge):\n%s", generated.Name(), diff)
		}
	}
}

// answers is what the functions of a spec say about a message.
func answers(s *async.Spec, m proto.Message) map[string]any {
	said := map[string]any{"input": s.Input().ProtoReflect().Descriptor().FullName()}
	if s.Output != nil {
		said["output"] = s.Output().ProtoReflect().Descriptor().FullName()
	}
	if s.Key != nil {
		said["key"] = s.Key(m)
	}
	if s.MessageID != nil {
		said["id"] = s.MessageID(m)
	}
	if s.Headers != nil {
		said["headers"] = s.Headers(m)
	}
	return said
}

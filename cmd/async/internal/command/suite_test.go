package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/asyncpb/async/cmd/async/internal/command"
	asyncproto "github.com/asyncpb/async/proto"
	"github.com/asyncpb/async/runtime/transport"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

const (
	shipTopic = "shop.v1.Orders.Ship"
	shipQueue = shipTopic + "--orders"
	shipDead  = shipQueue + "--dead"
	shipType  = "shop.v1.ShipRequest"
)

// shop compiles testdata/shop.proto.
func shop(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	source, err := os.ReadFile("testdata/shop.proto")
	if err != nil {
		t.Fatal(err)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{
			"shop.proto": string(source), "async/v1/annotations.proto": string(asyncproto.Annotations),
		}),
	})}
	files, err := compiler.Compile(t.Context(), "shop.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}

// descriptors writes the descriptor set of testdata/shop.proto, as buf build does, and returns its path.
func descriptors(t *testing.T) string {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(shop(t))
	data, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "descriptors.binpb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// encoded is a message of testdata/shop.proto in binary form.
func encoded(t *testing.T, name, text string) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(shop(t).Messages().ByName(protoreflect.Name(name)))
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// broker is a transport beside the tool's own, for what happens without it.
type broker struct {
	t   *testing.T
	url string
	transport.Transport
	transport.Sender
	transport.Consumer
	transport.Declarer
	transport.Browser
	transport.Remover
}

// inMemory is a broker that only the test and the tool know.
func inMemory(t *testing.T) *broker {
	t.Helper()
	return newBroker(t, "memory://"+uuid.NewString())
}

func newBroker(t *testing.T, url string) *broker {
	t.Helper()
	c, err := transport.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := transport.Default.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open the broker (make test starts one): %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &broker{
		t: t, url: url, Transport: tr, Sender: transport.SenderOf(tr), Consumer: transport.ConsumerOf(tr),
		Declarer: tr.(transport.Declarer), Browser: tr.(transport.Browser), Remover: tr.(transport.Remover),
	}
}

// declare makes the queues of a group.
func (b *broker) declare(topic, group string) {
	b.t.Helper()
	err := b.Declare(b.t.Context(), transport.Subscription{
		Topic: topic, Group: group, Kind: transport.KindCommand, Concurrency: 1, DeadTopic: transport.DeadName(topic, group),
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// send puts a message into a queue.
func (b *broker) send(queue string, payload []byte, metadata message.Metadata) {
	b.t.Helper()
	msg := message.NewMessage(metadata[transport.MetaID], payload)
	msg.Metadata = metadata
	stored := make(chan error, 1)
	p := transport.Publication{Topic: queue, Direct: true, Mandatory: true, Deadline: time.Now().Add(patience)}
	if err := b.Send(b.t.Context(), p, msg, func(err error) { stored <- err }); err != nil {
		b.t.Fatal(err)
	}
	if err := <-stored; err != nil {
		b.t.Fatal(err)
	}
}

// contents takes a look at a queue and leaves it as it is.
func (b *broker) contents(queue string) []*message.Message {
	b.t.Helper()
	taken, err := b.Take(b.t.Context(), queue, 10000)
	if err != nil {
		b.t.Fatal(err)
	}
	messages := make([]*message.Message, 0, len(taken))
	settled := make(chan error, len(taken))
	for _, d := range taken {
		messages = append(messages, d.Message())
		d.Settle(transport.Requeue, func(err error) { settled <- err })
	}
	for range taken {
		if err := <-settled; err != nil {
			b.t.Fatal(err)
		}
	}
	return messages
}

func (b *broker) ids(queue string) []string {
	b.t.Helper()
	var ids []string
	for _, msg := range b.contents(queue) {
		ids = append(ids, msg.UUID)
	}
	return ids
}

// count is how many messages wait in a queue, -1 when there is none.
func (b *broker) count(queue string) int {
	b.t.Helper()
	queues, err := b.Queues(b.t.Context(), queue)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(queues) == 0 {
		return -1
	}
	return queues[0].Ready
}

const created = "1700000000000000000"

// failed is the metadata of a dead letter of shop.v1.Orders.Ship.
func failed(id string, more ...string) message.Metadata {
	md := message.Metadata{
		transport.MetaID: id, transport.MetaType: shipType, transport.MetaContentType: "application/protobuf",
		transport.MetaSource: "web", transport.MetaTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		transport.MetaCreatedAt: created, transport.MetaSentAt: created,
		transport.MetaAttempt: "3", transport.MetaDeadReason: "max-attempts", transport.MetaDeadError: "no stock",
		transport.MetaDeadTopic: shipTopic, transport.MetaDeadGroup: "orders",
		transport.MetaDeadAt: "1700000100000000000", transport.MetaDeadFirstAt: "1700000001000000000",
	}
	for i := 0; i < len(more); i += 2 {
		if md[more[i]] = more[i+1]; more[i+1] == "" {
			delete(md, more[i])
		}
	}
	return md
}

// byBroker is the metadata of a message that the broker itself has dead-lettered.
func byBroker(id string, more ...string) message.Metadata {
	md := failed(id, more...)
	for name := range md {
		if strings.HasPrefix(name, "async-dead-") || name == transport.MetaAttempt {
			delete(md, name)
		}
	}
	return md
}

// shipped puts three dead letters of different kinds into the queue of shop.v1.Orders.Ship.
func shipped(t *testing.T, b *broker) {
	t.Helper()
	b.declare(shipTopic, "orders")
	b.send(shipDead, encoded(t, "ShipRequest", `{"orderId": "42", "cents": "995", "token": "t0p", "card": {"number": "4111", "pin": 1234, "holder": "Ada"}}`),
		failed("ord-1", "tenant", "acme", "token", "t0p"))
	b.send(shipDead, []byte{0xff, 0xff}, failed("ord-2", transport.MetaDeadReason, "undecodable",
		transport.MetaDeadError, "not a message \x1b[31m of this type, and a text that goes on for a while after that", transport.MetaAttempt, "1"))
	b.send(shipDead, encoded(t, "ShipRequest", `{"orderId": "43"}`), byBroker("ord-3"))
}

// outcome is what a run of the tool has left.
type outcome struct {
	stdout, stderr string
	code           int
}

// tool runs a command on the broker.
func (b *broker) tool(args ...string) outcome {
	return runTool(b.t.Context(), append(args, "--url", b.url)...)
}

func runTool(ctx context.Context, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := command.Run(ctx, args, &stdout, &stderr)
	return outcome{stdout.String(), stderr.String(), code}
}

// ok runs a command that must succeed without a word on stderr.
func (b *broker) ok(args ...string) string {
	b.t.Helper()
	o := b.tool(args...)
	if o.code != 0 || o.stderr != "" {
		b.t.Fatalf("async %s: exit code %d\n%s%s", strings.Join(args, " "), o.code, o.stderr, o.stdout)
	}
	return o.stdout
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s; if that is meant, run with -update (-want +got):\n%s", path, diff)
	}
}

// numbered are the ids that test messages have.
func numbered(n int) []string {
	ids := make([]string, 0, n)
	for i := range n {
		ids = append(ids, fmt.Sprintf("m%03d", i))
	}
	return ids
}

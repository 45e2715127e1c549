package contract_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "google.golang.org/protobuf/types/known/emptypb" // linked in, for descriptors that are made by hand

	"github.com/asyncpb/async/internal/compiletest"
	"github.com/asyncpb/async/internal/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const heading = `syntax = "proto3";
package shop.v1;
import "async/v1/annotations.proto";
import "google/protobuf/empty.proto";
`

// messages are inputs that the cases choose from.
const messages = `
message Plain { string id = 1; }
message Keyed { string id = 1 [(async.v1.field).key = true, (async.v1.field).message_id = true, (async.v1.field).header = "id"]; }
message Reply {}
`

func compile(tb testing.TB, source string) protoreflect.FileDescriptor {
	tb.Helper()
	return compiletest.Files(tb, compiletest.Texts(map[string]string{"shop.proto": source}), "shop.proto")[0]
}

// service is a service Shop with one rpc Do.
func service(serviceOptions, input, output, methodOptions string) string {
	if serviceOptions != "" {
		serviceOptions = "option (async.v1.service) = " + serviceOptions + ";"
	}
	return heading + "service Shop { " + serviceOptions + " rpc Do(" + input + ") returns (" + output + ") { option (async.v1.method) = " + methodOptions + "; } }" + messages
}

// plain is a Spec without descriptors.
type plain struct {
	Service, Method, Kind string
	Topic, Group, Type    string
	Aliases, GroupAliases []string
	TypeAliases           []string
	Timeout               time.Duration
	Policy                contract.Policy
	Key, MessageID        string
	Headers               map[string]string
}

func plainly(s *contract.Spec) plain {
	p := plain{
		Service: s.Service, Method: s.Method, Kind: s.Kind.String(), Topic: s.Topic, Group: s.Group, Type: s.Type,
		Aliases: s.Aliases, GroupAliases: s.GroupAliases, TypeAliases: s.TypeAliases, Timeout: s.Timeout, Policy: s.Policy,
	}
	if s.Key != nil {
		p.Key = string(s.Key.Name())
	}
	if s.MessageID != nil {
		p.MessageID = string(s.MessageID.Name())
	}
	for _, h := range s.Headers {
		if p.Headers == nil {
			p.Headers = map[string]string{}
		}
		p.Headers[h.Name] = string(h.Field.Name())
	}
	return p
}

func spec(tb testing.TB, source string) *contract.Spec {
	tb.Helper()
	specs, found := contract.Methods(compile(tb, source))
	if err := found.Err(); err != nil {
		tb.Fatalf("refused:\n%v", err)
	}
	if len(specs) != 1 {
		tb.Fatalf("got %d specs, want 1", len(specs))
	}
	return specs[0]
}

func TestDefaultsAndInheritance(t *testing.T) {
	t.Parallel()
	const empty = "google.protobuf.Empty"
	for _, row := range []struct {
		name   string
		source string
		want   func(*plain) // what differs from a command Do(Plain) with no further annotation
	}{
		{"an empty option on an rpc that returns Empty is a command", service("", "Plain", empty, "{}"), func(*plain) {}},
		{"a command is spelled out", service("", "Plain", empty, "{command: {}}"), func(*plain) {}},
		{"an empty option on an rpc that returns a message is a request", service("", "Plain", "Reply", "{}"), func(p *plain) { p.Kind = "request" }},
		{"a request may return Empty", service("", "Plain", empty, "{request: {}}"), func(p *plain) { p.Kind = "request" }},
		{"an event has no group", service("", "Plain", empty, "{event: {}}"), func(p *plain) { p.Kind, p.Group = "event", "" }},
		{"the group of a service does not matter to its events", service(`{group: "g"}`, "Plain", empty, "{event: {}}"), func(p *plain) { p.Kind, p.Group = "event", "" }},
		{"the group of a service is that of its commands", service(`{group: "g"}`, "Plain", empty, "{}"), func(p *plain) { p.Group = "g" }},
		{"a topic is joined to the default prefix", service("", "Plain", empty, `{topic: "done"}`), func(p *plain) { p.Topic = "shop.v1.Shop.done" }},
		{"a prefix is joined to the name of the rpc", service(`{topic_prefix: "p.q"}`, "Plain", empty, `{}`), func(p *plain) { p.Topic = "p.q.Do" }},
		{"a topic is joined to a prefix", service(`{topic_prefix: "p"}`, "Plain", empty, `{topic: "done"}`), func(p *plain) { p.Topic = "p.done" }},
		{"a topic with a leading slash is absolute", service(`{topic_prefix: "p"}`, "Plain", empty, `{topic: "/done"}`), func(p *plain) { p.Topic = "done" }},
		{"aliases are joined as topics are", service(`{topic_prefix: "p"}`, "Plain", empty, `{aliases: ["old", "/older"]}`), func(p *plain) {
			p.Topic, p.Aliases = "p.Do", []string{"p.old", "older"}
		}},
		{"group aliases stand as they are", service("", "Plain", empty, `{group_aliases: ["old"]}`), func(p *plain) { p.GroupAliases = []string{"old"} }},
		{"an event may have types of its own", service("", "Plain", empty, `{event: {type: "done" type_aliases: "old"}}`), func(p *plain) {
			p.Kind, p.Group, p.Type, p.TypeAliases = "event", "", "done", []string{"old"}
		}},
		{"a timeout is read", service("", "Plain", "Reply", `{request: {timeout: {seconds: 1 nanos: 500000000}}}`), func(p *plain) {
			p.Kind, p.Timeout = "request", 1500*time.Millisecond
		}},
		{"key, message id and header are those of the input", service("", "Keyed", empty, "{}"), func(p *plain) {
			p.Type, p.Key, p.MessageID, p.Headers = "shop.v1.Keyed", "id", "id", map[string]string{"id": "id"}
		}},
		{"by key needs the key only", service("", "Keyed", empty, "{policy: {ordering: ORDERING_BY_KEY}}"), func(p *plain) {
			p.Type, p.Key, p.MessageID, p.Headers = "shop.v1.Keyed", "id", "id", map[string]string{"id": "id"}
			p.Policy.Ordering = contract.OrderingByKey
		}},
		{"the policy of a service is inherited", service(`{policy: {
			retry: {immediate: 3 max_attempts: 4 min_backoff: {seconds: 1} max_backoff: {seconds: 2} multiplier: 1.5 jitter: 0.5}
			dead_letter: {disabled: true} ttl: {seconds: 60} ordering: ORDERING_UNORDERED trace: TRACE_LINK}}`, "Plain", empty, "{}"), func(p *plain) {
			p.Policy = contract.Policy{
				Retry: contract.Retry{
					Immediate: new(uint32(3)), MaxAttempts: new(uint32(4)), MinBackoff: new(time.Second), MaxBackoff: new(2 * time.Second),
					Multiplier: new(1.5), Jitter: new(0.5),
				},
				DeadLetter: contract.DeadLetter{Disabled: new(true)},
				TTL:        new(time.Minute), Ordering: contract.OrderingUnordered, Trace: contract.TraceLink,
			}
		}},
		{"zeros that are written override, and the rest stays", service(`{policy: {
			retry: {immediate: 3 max_attempts: 4 min_backoff: {seconds: 1} jitter: 0.5}
			dead_letter: {disabled: true} ttl: {seconds: 60 nanos: 5} ordering: ORDERING_BY_KEY trace: TRACE_LINK}}`, "Plain", empty, `{policy: {
			retry: {immediate: 0 min_backoff: {} jitter: 0} dead_letter: {disabled: false} ttl: {} ordering: ORDERING_UNSPECIFIED trace: TRACE_UNSPECIFIED}}`), func(p *plain) {
			p.Policy = contract.Policy{
				Retry: contract.Retry{
					Immediate: new(uint32(0)), MaxAttempts: new(uint32(4)), MinBackoff: new(time.Duration(0)), Jitter: new(0.0),
				},
				DeadLetter: contract.DeadLetter{Disabled: new(false)},
				TTL:        new(time.Duration(0)),
			}
		}},
		{"a duration is replaced as a whole", service(`{policy: {ttl: {nanos: 5}}}`, "Plain", empty, `{policy: {ttl: {seconds: 3}}}`), func(p *plain) {
			p.Policy.TTL = new(3 * time.Second)
		}},
		{"an rpc may disable dead letters that its service has a topic for", service(`{policy: {dead_letter: {topic: "dead"}}}`, "Plain", empty, `{policy: {dead_letter: {disabled: true}}}`), func(p *plain) {
			p.Policy.DeadLetter = contract.DeadLetter{Disabled: new(true), Topic: "dead"}
		}},
		{"without a package the names are short", strings.Replace(service("", "Plain", empty, "{}"), "package shop.v1;", "", 1), func(p *plain) {
			p.Service, p.Topic, p.Group, p.Type = "Shop", "Shop.Do", "Shop", "Plain"
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want := plain{
				Service: "shop.v1.Shop", Method: "Do", Kind: "command", Topic: "shop.v1.Shop.Do", Group: "shop.v1.Shop", Type: "shop.v1.Plain",
			}
			row.want(&want)
			if diff := cmp.Diff(want, plainly(spec(t, row.source))); diff != "" {
				t.Errorf("the spec differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRPCWithoutTheOptionIsLeftAlone(t *testing.T) {
	t.Parallel()
	specs, found := contract.Methods(compile(t, heading+`service Shop { option (async.v1.service) = {group: "g"}; rpc Do(stream Plain) returns (Plain); }`+messages))
	if len(specs) != 0 || len(found) != 0 {
		t.Errorf("got %d specs and %v", len(specs), found)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const empty = "google.protobuf.Empty"
	policy := func(p string) string { return service("", "Plain", empty, "{policy: {"+p+"}}") }
	field := func(f string) string {
		return service("", "Input", empty, "{}") + "message Input { " + f + " } message Inner {}"
	}
	for _, row := range []struct{ name, source, want string }{
		{"an rpc that streams in", service("", "stream Plain", empty, "{}"), "is streaming"},
		{"an rpc that streams out", service("", "Plain", "stream Reply", "{}"), "is streaming"},
		{"an event with a response", service("", "Plain", "Reply", "{event: {}}"), "event Shop.Do returns shop.v1.Reply"},
		{"a command with a response", service("", "Plain", "Reply", "{command: {}}"), "command Shop.Do returns shop.v1.Reply"},
		{"an empty topic", service("", "Plain", empty, `{topic: ""}`), "the topic of Shop.Do is empty"},
		{"a topic with a space", service("", "Plain", empty, `{topic: "a b"}`), "is not portable"},
		{"a topic with two dashes", service("", "Plain", empty, `{topic: "a--b"}`), `holds "--"`},
		{"a topic that begins with a dash", service("", "Plain", empty, `{topic: "/-a"}`), `begins or ends with "-"`},
		{"a topic of 129 bytes", service("", "Plain", empty, `{topic: "/`+strings.Repeat("t", 129)+`"}`), "is too long"},
		{"a topic with an empty word", service("", "Plain", empty, `{topic: "a..b"}`), `an empty word beside a "."`},
		{"an empty prefix", service(`{topic_prefix: ""}`, "Plain", empty, `{topic: "/done"}`), `topic_prefix "" is empty`},
		{"a group of 81 bytes", service(`{group: "`+strings.Repeat("g", 81)+`"}`, "Plain", empty, "{}"), "is too long"},
		{"a group with two dashes", service(`{group: "a--b"}`, "Plain", empty, "{}"), `holds "--"`},
		{"an alias that is not portable", service("", "Plain", empty, `{aliases: "a b"}`), "topic alias"},
		{"an alias that is there twice", service("", "Plain", empty, `{aliases: ["a", "a"]}`), "is there twice"},
		{"a group alias that is the group", service("", "Plain", empty, `{group_aliases: "shop.v1.Shop"}`), "is its group"},
		{"a group alias of an event", service("", "Plain", empty, `{event: {} group_aliases: "a"}`), "has group_aliases"},
		{"an empty type", service("", "Plain", empty, `{event: {type: ""}}`), "is no CloudEvents type"},
		{"a type alias that is the type", service("", "Plain", empty, `{event: {type_aliases: "shop.v1.Plain"}}`), "is there twice"},
		{"a timeout of 0", service("", "Plain", "Reply", "{request: {timeout: {}}}"), "timeout is 0s"},
		{"a negative timeout", service("", "Plain", "Reply", "{request: {timeout: {nanos: -1}}}"), "timeout is -1ns"},
		{"no attempts", policy("retry: {max_attempts: 0}"), "retry.max_attempts is 0"},
		{"no attempts in the service", service("{policy: {retry: {max_attempts: 0}}}", "Plain", empty, "{}"), "retry.max_attempts is 0"},
		{"a multiplier below 1", policy("retry: {multiplier: 0.99}"), "retry.multiplier is 0.99"},
		{"a multiplier that is no number", policy("retry: {multiplier: nan}"), "retry.multiplier is NaN"},
		{"a jitter below 0", policy("retry: {jitter: -1}"), "retry.jitter is -1"},
		{"a jitter above 1", policy("retry: {jitter: 1.01}"), "retry.jitter is 1.01"},
		{"a negative delay", policy("retry: {min_backoff: {seconds: -1}}"), "retry.min_backoff is negative"},
		{"a negative bound", policy("retry: {max_backoff: {seconds: -1}}"), "retry.max_backoff is negative"},
		{"inverted delays", policy("retry: {min_backoff: {seconds: 2} max_backoff: {seconds: 1}}"), "is more than retry.max_backoff"},
		{"delays that are inverted by inheritance", service("{policy: {retry: {min_backoff: {seconds: 2}}}}", "Plain", empty, "{policy: {retry: {max_backoff: {seconds: 1}}}}"), "is more than retry.max_backoff"},
		{"a negative time to live", policy("ttl: {seconds: -1}"), "ttl is negative"},
		{"a duration with mixed signs", policy("ttl: {seconds: -1 nanos: 1}"), "ttl is no valid duration"},
		{"a duration too long for Go", policy("ttl: {seconds: 300000000000}"), "ttl is longer than 292 years"},
		{"a dead-letter topic that is not portable", policy(`dead_letter: {topic: "a b"}`), "dead_letter.topic"},
		{"a dead-letter topic that is disabled", policy(`dead_letter: {topic: "a" disabled: true}`), "keep one of the two"},
		{"a dead-letter topic that is the rpc's own", policy(`dead_letter: {topic: "shop.v1.Shop.Do"}`), "is its own topic"},
		{"an unknown ordering", policy("ordering: 9"), "ordering 9 is not known"},
		{"an unknown trace", policy("trace: 9"), "trace 9 is not known"},
		{"by key without a key", policy("ordering: ORDERING_BY_KEY"), "has no key"},
		{"by key of the service without a key", service("{policy: {ordering: ORDERING_BY_KEY}}", "Plain", empty, "{}"), "has no key"},
		{"two keys", field(`string a = 1 [(async.v1.field).key = true]; string b = 2 [(async.v1.field).key = true];`), "has two keys, a and b"},
		{"two message ids", field(`string a = 1 [(async.v1.field).message_id = true]; string b = 2 [(async.v1.field).message_id = true];`), "has two message ids, a and b"},
		{"a bool as key", field(`bool a = 1 [(async.v1.field).key = true];`), "key shop.v1.Input.a has type bool"},
		{"a double as key", field(`double a = 1 [(async.v1.field).key = true];`), "has type double"},
		{"a message as key", field(`Inner a = 1 [(async.v1.field).key = true];`), "has type message"},
		{"a map as key", field(`map<string, string> a = 1 [(async.v1.field).key = true];`), "has type map"},
		{"a repeated key", field(`repeated string a = 1 [(async.v1.field).key = true];`), "has type repeated string"},
		{"an integer as message id", field(`int32 a = 1 [(async.v1.field).message_id = true];`), "has type int32"},
		{"a message as header", field(`Inner a = 1 [(async.v1.field).header = "a"];`), "header shop.v1.Input.a has type message"},
		{"a header name with a capital", field(`string a = 1 [(async.v1.field).header = "A"];`), "is no header name"},
		{"a reserved header prefix", field(`string a = 1 [(async.v1.field).header = "ce-type"];`), `is reserved by "ce-"`},
		{"a reserved header name", field(`string a = 1 [(async.v1.field).header = "baggage"];`), `is reserved by "baggage"`},
		{"a header that two fields write", field(`string a = 1 [(async.v1.field).header = "h"]; string b = 2 [(async.v1.field).header = "h"];`), `header "h" is written by`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, found := contract.Methods(compile(t, row.source))
			err := found.Err()
			if err == nil {
				t.Fatal("not refused")
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %q, want one line with %q", lines, row.want)
			}
			if !strings.HasPrefix(err.Error(), "shop.proto:") {
				t.Errorf("no position: %v", err)
			}
		})
	}
}

func TestKeysOfEveryKindThatCanBeOne(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"string", "bytes", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64",
		"State", "optional string",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := spec(t, service("", "Input", "google.protobuf.Empty", "{policy: {ordering: ORDERING_BY_KEY}}")+
				"message Input { "+kind+" k = 1 [(async.v1.field).key = true]; } enum State { NONE = 0; }")
			if s.Key == nil || s.Key.Name() != "k" {
				t.Errorf("the key is %v", s.Key)
			}
		})
	}
}

func TestChecksAcrossFiles(t *testing.T) {
	t.Parallel()
	two := func(a, b string) string {
		return heading + `service Shop { rpc A(Plain) returns (google.protobuf.Empty) { option (async.v1.method) = ` + a + `; }
			rpc B(Plain) returns (google.protobuf.Empty) { option (async.v1.method) = ` + b + `; } }` + messages
	}
	for _, row := range []struct{ name, source, want string }{
		{"two events may share a topic and a message", two(`{event: {} topic: "t"}`, `{event: {} topic: "t"}`), ""},
		{"two messages on one topic", strings.Replace(two(`{event: {} topic: "t"}`, `{event: {} topic: "t"}`), "B(Plain)", "B(Reply)", 1), "carries shop.v1.Reply"},
		{"two kinds on one topic", two(`{event: {} topic: "t"}`, `{command: {} topic: "t"}`), "is that of the event"},
		{"two commands for one group on one topic", two(`{topic: "t"}`, `{topic: "t"}`), "only one can handle it"},
		{"an alias that is another rpc's topic", two(`{aliases: "B"}`, `{}`), "is the topic of Shop.B"},
		{"an alias that is the rpc's own topic", two(`{aliases: "A"}`, `{}`), "is the topic of Shop.A"},
		{"an alias of two rpcs", two(`{aliases: "old"}`, `{aliases: "old"}`), "is an alias of Shop.A as well"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			specs, found := contract.Methods(compile(t, row.source))
			if err := found.Err(); err != nil {
				t.Fatalf("refused by itself: %v", err)
			}
			err := contract.Check(specs).Err()
			switch {
			case row.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

// Options reach a program in three forms. All give the same spec.
func TestFormOfOptionsDoesNotMatter(t *testing.T) {
	t.Parallel()
	source := service(`{policy: {retry: {max_attempts: 3}}}`, "Keyed", "google.protobuf.Empty", `{topic: "done" policy: {trace: TRACE_LINK}}`)
	dynamic := compile(t, source)
	want := plainly(spec(t, source))
	if want.Topic != "shop.v1.Shop.done" {
		t.Fatalf("the topic is %q", want.Topic)
	}
	for _, row := range []struct {
		name     string
		resolver *protoregistry.Types // nil is what is linked in
	}{
		{"generated", nil},
		{"unrecognised", new(protoregistry.Types)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			raw, err := proto.Marshal(protodesc.ToFileDescriptorProto(dynamic))
			if err != nil {
				t.Fatal(err)
			}
			options := proto.UnmarshalOptions{}
			if row.resolver != nil {
				options.Resolver = row.resolver
			}
			decoded := new(descriptorpb.FileDescriptorProto)
			if err := options.Unmarshal(raw, decoded); err != nil {
				t.Fatal(err)
			}
			file, err := protodesc.NewFile(decoded, protoregistry.GlobalFiles)
			if err != nil {
				t.Fatal(err)
			}
			specs, found := contract.Methods(file)
			if err := found.Err(); err != nil || len(specs) != 1 {
				t.Fatalf("got %d specs and %v", len(specs), err)
			}
			if diff := cmp.Diff(want, plainly(specs[0])); diff != "" {
				t.Errorf("the spec differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOptionsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	message := func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 71071, protowire.BytesType), b)
	}
	for _, row := range []struct {
		name string
		raw  []byte
		want string
	}{
		{
			"a field of a newer version", message(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)),
			"shop.proto: option (async.v1.method) sets field 99 of async.v1.MethodOptions, which this version does not know; remove it, or use a newer version of protoc-gen-async",
		},
		{
			"a newer field inside a message", message([]byte{0x32, 0x03, 0x98, 0x06, 0x01}),
			"shop.proto: option (async.v1.method) sets field 99 of async.v1.Policy, which this version does not know; remove it, or use a newer version of protoc-gen-async",
		},
		{
			"an option of somebody else under our number", protowire.AppendVarint(protowire.AppendTag(nil, 71071, protowire.VarintType), 1),
			"shop.proto: option 71071 of shop.Shop.Do is not (async.v1.method); give your own option another number",
		},
		{
			"bytes that are no message", message([]byte{0xff}),
			"shop.proto: option (async.v1.method) of shop.Shop.Do cannot be read; write it as async/v1/annotations.proto declares it",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			options := new(descriptorpb.MethodOptions)
			options.ProtoReflect().SetUnknown(row.raw)
			file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
				Name: new("shop.proto"), Package: new("shop"), Syntax: new("proto3"),
				Dependency: []string{"google/protobuf/empty.proto"},
				Service: []*descriptorpb.ServiceDescriptorProto{{
					Name: new("Shop"),
					Method: []*descriptorpb.MethodDescriptorProto{{
						Name: new("Do"), InputType: new(".google.protobuf.Empty"), OutputType: new(".google.protobuf.Empty"), Options: options,
					}},
				}},
			}, protoregistry.GlobalFiles)
			if err != nil {
				t.Fatal(err)
			}
			_, found := contract.Methods(file)
			if err := found.Err(); err == nil || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestRefusalsPointAtTheOption(t *testing.T) {
	t.Parallel()
	source := heading + `service Shop {
  rpc Do(Plain) returns (google.protobuf.Empty) {
    option (async.v1.method).command = {};
    option (async.v1.method).topic = "a b";
    option (async.v1.method).policy.retry.max_attempts = 0;
  }
}
` + messages
	_, found := contract.Methods(compile(t, source))
	var got []string
	for _, f := range found {
		got = append(got, f.Position.String())
	}
	if diff := cmp.Diff([]string{"shop.proto:8:5", "shop.proto:9:5"}, got); diff != "" {
		t.Errorf("the positions differ (-want +got):\n%s", diff)
	}
}

func TestAnRpcWithoutAnAnnotationIsARequestWhenThatIsAskedFor(t *testing.T) {
	t.Parallel()
	const bare = heading + `service Shop {
		option (async.v1.service) = {group: "shop"};
		rpc Do(Plain) returns (google.protobuf.Empty);
		rpc Did(Plain) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {}}; }
	}` + messages
	methods := compile(t, bare).Services().Get(0).Methods()
	if spec, _ := contract.Method(methods.Get(0)); spec != nil {
		t.Errorf("Method makes %v of an rpc without an annotation", spec)
	}
	spec, found := contract.Implicit(methods.Get(0))
	if found.Err() != nil {
		t.Fatal(found)
	}
	if spec.Kind != contract.Request || spec.Topic != "shop.v1.Shop.Do" || spec.Group != "shop" || spec.Type != "shop.v1.Plain" {
		t.Errorf("got a %s on %s of %s for %s", spec.Kind, spec.Topic, spec.Group, spec.Type)
	}
	if annotated, _ := contract.Implicit(methods.Get(1)); annotated.Kind != contract.Event {
		t.Errorf("an annotated event is a %s", annotated.Kind)
	}
}

package asynctest

import (
	"bytes"
	"maps"
	"math"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// DeadLetter is one message that failed for good and was stored as a dead letter.
type DeadLetter struct {
	// RPC is "<service>/<method>"; Group is the group that failed.
	RPC, Group string
	// ID is the message id; Attempts counts the handler calls.
	ID       string
	Attempts int
	// Queue is the dead-letter queue.
	Queue string
	// Reason is the wire's word for it ("rejected", "max-attempts", "undecodable", ...); Error is the text beside it.
	Reason, Error string
	// Message is the message, nil when it cannot be decoded.
	Message proto.Message
	// Payload and Metadata are its wire form.
	Payload  []byte
	Metadata map[string]string
}

// attempted reports whether a handler had the message.
func (l *DeadLetter) attempted() bool {
	return l.Reason == "rejected" || l.Reason == "max-attempts" || l.Reason == "retry-time"
}

// stored lists a message that the broker has, if it is a dead letter, and remembers which delivery it comes from.
func (j *journal) stored(number string, p transport.Publication, msg *message.Message) {
	md := msg.Metadata
	j.change(func() {
		d := j.open[number]
		if p.Direct && md[transport.MetaDeadReason] != "" {
			letter := DeadLetter{
				RPC: j.rpcs[md[transport.MetaDeadTopic]], Group: md[transport.MetaDeadGroup], ID: msg.UUID, Attempts: attemptOf(md),
				Queue: p.Topic, Reason: md[transport.MetaDeadReason], Error: md[transport.MetaDeadError],
				Message: j.decode(md, msg.Payload), Payload: bytes.Clone(msg.Payload), Metadata: maps.Clone(md),
			}
			j.dead = append(j.dead, letter)
			if d != nil {
				d.dead = &letter
			}
			return
		}
		if d != nil && p.Group == d.sub.Group && p.Topic == d.sub.Topic {
			d.retried = true
		}
	})
}

// decode returns the message of a payload, nil when its type is unknown or it is malformed. The lock is held.
func (j *journal) decode(md map[string]string, payload []byte) proto.Message {
	var msg proto.Message
	if input := j.inputs[md[transport.MetaType]]; input != nil {
		msg = input()
	} else {
		found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(md[transport.MetaType]))
		if err != nil {
			return nil
		}
		msg = found.New().Interface()
	}
	unmarshal := proto.Unmarshal
	if md[transport.MetaContentType] == async.ProtoJSON.ContentType() {
		unmarshal = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal
	}
	plain, err := transport.Decompress(md[transport.MetaEncoding], payload, math.MaxInt32)
	if err != nil || unmarshal(plain, msg) != nil {
		return nil
	}
	return msg
}

package stranger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// ErrReturned says that no queue took the message.
var ErrReturned = errors.New("the broker gave the message back")

// Publish sends an event or a command with all the metadata of section 3 and waits for the broker's confirm. The type is the
// full name of msg.
func (s *Stranger) Publish(ctx context.Context, topic, id string, msg proto.Message) error {
	p, err := s.message(id, fullName(msg), msg)
	if err != nil {
		return err
	}
	return s.confirm(ctx, topic, p.Type, p)
}

// PublishBare sends an event or a command with native properties and no header at all; see section 6.
func (s *Stranger) PublishBare(ctx context.Context, topic, id string, msg proto.Message) error {
	p, err := s.message(id, fullName(msg), msg)
	if err != nil {
		return err
	}
	p.Headers = nil
	return s.confirm(ctx, topic, p.Type, p)
}

// PublishAs sends bytes under a type that need not be theirs.
func (s *Stranger) PublishAs(ctx context.Context, topic, id, messageType string, payload []byte) error {
	return s.confirm(ctx, topic, messageType, s.envelope(id, messageType, payload))
}

// PublishJSON sends an event or a command as JSON; see section 2.
func (s *Stranger) PublishJSON(ctx context.Context, topic, id string, msg proto.Message) error {
	payload, err := protojson.Marshal(msg)
	if err != nil {
		return fmt.Errorf("stranger: encode: %w", err)
	}
	p := s.envelope(id, fullName(msg), payload)
	p.ContentType = "application/json"
	p.Headers["ce-datacontenttype"] = "application/json"
	return s.confirm(ctx, topic, p.Type, p)
}

// PublishAgain sends a message as a retry: async-attempt says which handler call the next one is.
func (s *Stranger) PublishAgain(ctx context.Context, topic, id string, attempt int, msg proto.Message) error {
	p, err := s.message(id, fullName(msg), msg)
	if err != nil {
		return err
	}
	p.Headers["async-attempt"] = strconv.Itoa(attempt)
	return s.confirm(ctx, topic, p.Type, p)
}

// Call sends a request and waits for its reply on a queue of the stranger's own: section 4.
func (s *Stranger) Call(ctx context.Context, topic, replies, id string, req proto.Message) (*amqp.Delivery, error) {
	p, err := s.message(id, fullName(req), req)
	if err != nil {
		return nil, err
	}
	return s.call(ctx, topic, replies, p)
}

// CallAs is Call with bytes under a type that need not be theirs.
func (s *Stranger) CallAs(ctx context.Context, topic, replies, id, messageType string, payload []byte) (*amqp.Delivery, error) {
	return s.call(ctx, topic, replies, s.envelope(id, messageType, payload))
}

func (s *Stranger) call(ctx context.Context, topic, replies string, p amqp.Publishing) (*amqp.Delivery, error) {
	deadline := time.Now().Add(30 * time.Second)
	p.Headers["async-deadline"] = strconv.FormatInt(deadline.UnixNano(), 10)
	p.ReplyTo, p.CorrelationId = replies, "call-"+p.MessageId
	if err := s.DeclareReplies(replies); err != nil {
		return nil, err
	}
	tag := "replies-" + p.MessageId
	deliveries, err := s.channel.ConsumeWithContext(ctx, replies, tag, false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("stranger: consume %q: %w", replies, err)
	}
	defer func() { _ = s.channel.Cancel(tag, false) }()
	if err := s.confirm(ctx, topic, p.Type, p); err != nil {
		return nil, err
	}
	for {
		select {
		case d := <-deliveries:
			if err := d.Ack(false); err != nil {
				return nil, fmt.Errorf("stranger: ack: %w", err)
			}
			if d.CorrelationId == p.CorrelationId {
				return &d, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("stranger: call %q: %w", topic, context.Cause(ctx))
		}
	}
}

// Reply answers a request. status is 0 with the rpc's output, or one of gRPC's codes with a google.rpc.Status.
func (s *Stranger) Reply(ctx context.Context, request *amqp.Delivery, status int, body proto.Message) error {
	p, err := s.message("reply-"+request.MessageId, fullName(body), body)
	if err != nil {
		return err
	}
	p.CorrelationId = request.CorrelationId
	p.Headers["async-status"] = strconv.Itoa(status)
	return s.confirm(ctx, "", request.ReplyTo, p)
}

func (s *Stranger) message(id, messageType string, msg proto.Message) (amqp.Publishing, error) {
	payload, err := proto.Marshal(msg)
	if err != nil {
		return amqp.Publishing{}, fmt.Errorf("stranger: encode: %w", err)
	}
	return s.envelope(id, messageType, payload), nil
}

// envelope is what every message carries: section 3, and the native properties of section 6.
func (s *Stranger) envelope(id, messageType string, payload []byte) amqp.Publishing {
	now := time.Now()
	at := strconv.FormatInt(now.UnixNano(), 10)
	return amqp.Publishing{
		Headers: amqp.Table{
			"ce-id":                   id,
			"ce-source":               s.name,
			"ce-type":                 messageType,
			"ce-specversion":          "1.0",
			"ce-time":                 now.UTC().Format(time.RFC3339Nano),
			"ce-datacontenttype":      "application/protobuf",
			"async-created-at":        at,
			"async-sent-at":           at,
			"_watermill_message_uuid": id,
		},
		DeliveryMode: amqp.Persistent,
		MessageId:    id,
		Type:         messageType,
		ContentType:  "application/protobuf",
		Timestamp:    now,
		Body:         payload,
	}
}

func fullName(msg proto.Message) string { return string(msg.ProtoReflect().Descriptor().FullName()) }

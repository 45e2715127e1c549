package stranger

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/protobuf/proto"
)

// Read checks the metadata that section 3 promises on every message, and the native properties that section 6 promises beside
// them, and decodes the payload into msg. The error is everything that is wrong.
func Read(d *amqp.Delivery, msg proto.Message) error {
	var errs []error
	expect := func(what, have, want string) {
		if have != want {
			errs = append(errs, fmt.Errorf("%s is %q, want %q", what, have, want))
		}
	}
	messageType := fullName(msg)
	id := Header(d, "ce-id")
	if id == "" || len(id) > 64 {
		errs = append(errs, fmt.Errorf("ce-id is %q, want 1 to 64 characters", id))
	}
	if Header(d, "ce-source") == "" {
		errs = append(errs, errors.New("ce-source is missing"))
	}
	expect("ce-type", Header(d, "ce-type"), messageType)
	expect("ce-specversion", Header(d, "ce-specversion"), "1.0")
	expect("ce-datacontenttype", Header(d, "ce-datacontenttype"), "application/protobuf")
	expect("_watermill_message_uuid", Header(d, "_watermill_message_uuid"), id)
	expect("message-id", d.MessageId, id)
	expect("type", d.Type, messageType)
	expect("content-type", d.ContentType, "application/protobuf")
	expect("expiration", d.Expiration, "")
	expect("delivery mode", strconv.Itoa(int(d.DeliveryMode)), "2")
	if at, err := time.Parse(time.RFC3339Nano, Header(d, "ce-time")); err != nil {
		errs = append(errs, fmt.Errorf("ce-time: %w", err))
	} else if at.Location() != time.UTC {
		errs = append(errs, fmt.Errorf("ce-time %q is not in UTC", Header(d, "ce-time")))
	}
	created, err := nanoseconds(d, "async-created-at")
	if err != nil {
		errs = append(errs, err)
	} else {
		expect("timestamp", strconv.FormatInt(d.Timestamp.Unix(), 10), strconv.FormatInt(created/int64(time.Second), 10))
	}
	if _, err := nanoseconds(d, "async-sent-at"); err != nil {
		errs = append(errs, err)
	}
	if err := proto.Unmarshal(d.Body, msg); err != nil {
		errs = append(errs, fmt.Errorf("decode: %w", err))
	}
	return errors.Join(errs...)
}

// Header returns a header that is a text, or "".
func Header(d *amqp.Delivery, name string) string {
	text, _ := d.Headers[name].(string)
	return text
}

func nanoseconds(d *amqp.Delivery, name string) (int64, error) {
	n, err := strconv.ParseInt(Header(d, name), 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s is %q, want a positive decimal integer", name, Header(d, name))
	}
	return n, nil
}

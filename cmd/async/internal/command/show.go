package command

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/asyncpb/async/cmd/async/internal/letter"
	"github.com/asyncpb/async/cmd/async/internal/schema"
	"github.com/asyncpb/async/runtime/transport"
)

// previewBytes is how much of a payload is shown that cannot be decoded.
const previewBytes = 256

// metadata is what people are shown of a letter's metadata.
func (s *session) metadata(l *letter.Letter, reveal bool) map[string]string {
	md := maps.Clone(map[string]string(l.Message.Metadata))
	if reveal {
		return md
	}
	for name := range s.schema.Sensitive(l.Type) {
		if _, there := md[name]; there {
			md[name] = schema.Redacted
		}
	}
	return md
}

// show writes one dead letter in full.
func (s *session) show(l *letter.Letter, reveal, further bool) {
	payload, err := s.schema.Decode(l.Message, reveal)
	md := s.metadata(l, reveal)
	if s.json {
		r := newRecord(l)
		r.Key, r.Metadata, r.Payload = md[transport.MetaKey], md, payload
		if err != nil {
			r.Base64, r.Problem = l.Message.Payload, err.Error()
		}
		s.line(r)
		return
	}
	if further {
		fmt.Fprintln(s.stdout)
	}
	fmt.Fprintln(s.stdout, printable(orDash(l.ID)))
	reason := l.Reason
	switch {
	case reason == letter.ByBroker:
		reason = "broker: handed out too often without an acknowledgement"
	case reason == letter.Parked:
		reason = "parked: its queue had gone when its delay was over"
	case l.Attempts == 1:
		reason += ", after 1 attempt"
	case l.Attempts > 1:
		reason += fmt.Sprintf(", after %d attempts", l.Attempts)
	}
	rows := [][]string{{"topic", orDash(l.Topic)}, {"group", orDash(l.Group)}, {"type", orDash(l.Type)}, {"reason", reason}}
	optional := func(name, value string) {
		if value != "" && value != "-" {
			rows = append(rows, []string{name, value})
		}
	}
	optional("error", l.Error)
	optional("key", md[transport.MetaKey])
	optional("created", moment(l.CreatedAt))
	optional("first failed", moment(l.FirstAt))
	optional("dead since", moment(l.DeadAt))
	if !l.Deadline.IsZero() {
		deadline := moment(l.Deadline)
		if l.Expired(time.Now()) {
			deadline += ", which has passed"
		}
		optional("deadline", deadline)
	}
	table(s.stdout, rows)
	fmt.Fprintln(s.stdout, "  metadata")
	rows = nil
	for _, name := range slices.Sorted(maps.Keys(md)) {
		rows = append(rows, []string{"  " + name, md[name]})
	}
	table(s.stdout, rows)
	s.showPayload(l, payload, err)
}

func (s *session) showPayload(l *letter.Letter, payload json.RawMessage, err error) {
	size := len(l.Message.Payload)
	switch {
	case err == nil:
		var pretty bytes.Buffer
		_ = json.Indent(&pretty, payload, "    ", "  ") // it is JSON, or err would say so
		fmt.Fprintf(s.stdout, "  payload, %d bytes\n    %s\n", size, printableJSON(pretty.String()))
		return
	case errors.Is(err, schema.ErrUndescribed) && s.descriptors == "":
		fmt.Fprintf(s.stdout, "  payload, %d bytes; --descriptors shows it as JSON\n", size)
	default:
		fmt.Fprintf(s.stdout, "  payload, %d bytes: %v\n", size, err)
	}
	dump := strings.TrimRight(hex.Dump(l.Message.Payload[:min(size, previewBytes)]), "\n")
	if dump != "" {
		fmt.Fprintf(s.stdout, "    %s\n", strings.ReplaceAll(dump, "\n", "\n    "))
	}
	if size > previewBytes {
		fmt.Fprintf(s.stdout, "    … %d more; --json has them all\n", size-previewBytes)
	}
}

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/asyncpb/async/cmd/async/internal/letter"
	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/cmd/async/internal/schema"
	"github.com/asyncpb/async/runtime/transport"
)

// record is a dead letter as one line of JSON.
type record struct {
	Topic     string            `json:"topic"`
	Group     string            `json:"group"`
	Queue     string            `json:"queue"`
	ID        string            `json:"id"`
	Type      string            `json:"type,omitempty"`
	Key       string            `json:"key,omitempty"`
	Reason    string            `json:"reason"`
	Error     string            `json:"error,omitempty"`
	Attempts  int               `json:"attempts,omitempty"`
	CreatedAt *time.Time        `json:"created_at,omitempty"`
	FirstAt   *time.Time        `json:"first_failed_at,omitempty"`
	DeadAt    *time.Time        `json:"dead_at,omitempty"`
	Deadline  *time.Time        `json:"deadline,omitempty"`
	Bytes     int               `json:"bytes"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Payload   json.RawMessage   `json:"payload,omitempty"`
	Base64    []byte            `json:"payload_base64,omitempty"`
	Problem   string            `json:"payload_problem,omitempty"`
	Outcome   string            `json:"outcome,omitempty"`
}

func newRecord(l *letter.Letter) record {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return record{
		Topic: l.Topic, Group: l.Group, Queue: l.Queue, ID: l.ID, Type: l.Type, Key: l.Key,
		Reason: l.Reason, Error: l.Error, Attempts: l.Attempts,
		CreatedAt: moment(l.CreatedAt), FirstAt: moment(l.FirstAt), DeadAt: moment(l.DeadAt), Deadline: moment(l.Deadline),
		Bytes: len(l.Message.Payload),
	}
}

// record is a dead letter without what is sensitive.
func (s *session) record(l *letter.Letter) record {
	r := newRecord(l)
	if r.Key != "" && s.schema.Sensitive(l.Type)[transport.MetaKey] {
		r.Key = schema.Redacted
	}
	return r
}

// line writes v as one line of JSON.
func (s *session) line(v any) {
	encoder := json.NewEncoder(s.stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		fmt.Fprintf(s.stderr, "async: note: a line of output is missing: %v\n", err)
	}
}

// list writes the dead letters of one place.
func (s *session) list(state place.State, letters []*letter.Letter, further bool) {
	if s.json {
		for _, l := range letters {
			s.line(s.record(l))
		}
		return
	}
	if further {
		fmt.Fprintln(s.stdout)
	}
	fmt.Fprintf(s.stdout, "%s: %s\n", state.Name(), share(len(letters), state.DeadQueue.Ready))
	shared := state.Queue() == ""
	header := []string{"ID", "TYPE", "REASON", "ATTEMPTS", "DEAD SINCE", "ERROR"}
	if shared {
		header = append([]string{"TOPIC", "GROUP"}, header...)
	}
	rows := [][]string{header}
	for _, l := range letters {
		row := []string{orDash(l.ID), orDash(l.Type), l.Reason, count(l.Attempts), moment(l.DeadAt), shorten(l.Error, 60)}
		if shared {
			row = append([]string{orDash(l.Topic), orDash(l.Group)}, row...)
		}
		rows = append(rows, row)
	}
	table(s.stdout, rows)
}

// share says how many of all there are shown.
func share(shown, all int) string {
	if shown == all {
		return letters(all)
	}
	return fmt.Sprintf("%d of %s", shown, letters(all))
}

func letters(n int) string { return plural(n, "dead letter") }

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// table writes rows in aligned columns; the first row is the header.
func table(out io.Writer, rows [][]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	_ = w.Flush() // only a terminal that is gone can fail
}

// printable keeps what others have written from moving the cursor.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// printableJSON is printable for text that stays JSON, of several lines: what is not printable stands in strings alone.
func printableJSON(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) || r == '\n' {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// Package journal is what the processes of a trial write down, in files that outlive them: one line for each thing that
// happened to a message.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind says what happened.
type Kind string

// What is written down. A producer writes Sent before a send, and then Accepted or Refused or nothing, if it was killed. A
// consumer writes Began when its handler was called, and Handled before it returns.
const (
	// Ready: the consumer consumes. It has no id.
	Ready Kind = "ready"
	// Sent: the message is about to be sent, for the first time or again.
	Sent Kind = "sent"
	// Accepted: the send returned nil. It is on the disk before the producer counts it.
	Accepted Kind = "accepted"
	// Unknown: a send failed without an answer: the message may be stored.
	Unknown Kind = "unknown"
	// Blocked: a send was refused because the broker takes nothing at present.
	Blocked Kind = "blocked"
	// Refused: a send failed in any other way.
	Refused Kind = "refused"
	// Late: a send returned later than its context allows. Attempt holds the milliseconds that it took beyond that.
	Late Kind = "late"
	// Began: the handler was called.
	Began Kind = "began"
	// Handled: the handler is about to return nil.
	Handled Kind = "handled"
	// Aborted: the handler's context ended before its work.
	Aborted Kind = "aborted"
	// Dead: the message was found among the dead letters.
	Dead Kind = "dead"
	// Interrupted: what the consumer fetches from was lost. It has no id; Attempt holds how often that happened, by the consumer's own
	// count.
	Interrupted Kind = "interrupted"
	// Unburied: a dead letter could not be stored. It has no id; Attempt holds how often that happened, by the consumer's own
	// count.
	Unburied Kind = "unburied"
	// Ended: the process ended by itself. It has no id.
	Ended Kind = "ended"
)

// none stands for an empty field.
const none = "-"

// Entry is one line.
type Entry struct {
	// Kind says what happened.
	Kind Kind
	// ID is the message's: <run>-<key>-<sequence number>.
	ID string
	// RPC is the method that it was sent to, or that handled it.
	RPC string
	// Sum is the hash of its content.
	Sum string
	// Attempt is which call of the handler this is, from 1.
	Attempt int
	// At is the time by the clock of the machine, in Unix nanoseconds.
	At int64
}

func (e *Entry) line() string {
	field := func(s string) string {
		if s == "" {
			return none
		}
		return s
	}
	return fmt.Sprintf("%s %s %s %s %d %d\n", e.Kind, field(e.ID), field(e.RPC), field(e.Sum), e.Attempt, e.At)
}

func parse(line string) (Entry, error) {
	f := strings.Split(line, " ")
	if len(f) != 6 {
		return Entry{}, fmt.Errorf("a line of %d fields, not 6", len(f))
	}
	for i := range f {
		if f[i] == none {
			f[i] = ""
		}
	}
	attempt, err1 := strconv.Atoi(f[4])
	at, err2 := strconv.ParseInt(f[5], 10, 64)
	return Entry{Kind: Kind(f[0]), ID: f[1], RPC: f[2], Sum: f[3], Attempt: attempt, At: at}, errors.Join(err1, err2)
}

// Writer appends to a journal. It may be used by many goroutines.
type Writer struct {
	mu   sync.Mutex
	file *os.File
}

// Open opens a journal to append to, and makes it if it is not there. The caller closes it.
func Open(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{file: file}, nil
}

// Write appends entries with the present time, in one write, so that they outlive the process from here on.
func (w *Writer) Write(entries ...Entry) error {
	var text strings.Builder
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now().UnixNano()
	for _, e := range entries {
		e.At = now
		text.WriteString(e.line())
	}
	_, err := w.file.WriteString(text.String())
	return err
}

// Sync returns when what was written is on the disk, where it outlives the machine as well.
func (w *Writer) Sync() error { return w.file.Sync() }

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// tail is how much of a journal Tail reads: what some seconds write.
const tail = 1 << 20

// Tail returns the last entries of a journal, and none if it was never made.
func Tail(path string) (entries []Entry, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(info.Size()-tail, 0)
	data, err := io.ReadAll(io.NewSectionReader(file, from, tail))
	if err != nil {
		return nil, err
	}
	if from > 0 {
		data = data[bytes.IndexByte(data, '\n')+1:]
	}
	return parseAll(path, data)
}

// Read returns the entries of journals, file by file. A last line that was cut short by the end of its process is left
// out, and so is a journal that was never made; any other line that is none is an error.
func Read(paths ...string) ([]Entry, error) {
	var all []Entry
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries, err := parseAll(path, data)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

func parseAll(path string, data []byte) ([]Entry, error) {
	var all []Entry
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(whole))
	for n := 1; lines.Scan(); n++ {
		e, err := parse(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not a line of a journal: %w", path, n, err)
		}
		all = append(all, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

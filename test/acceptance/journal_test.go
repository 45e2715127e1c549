package acceptance_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The first words of a journal's entries; the second is the message's id.
const (
	entryReady   = "ready"   // consuming
	entryStarted = "started" // about to be sent
	entryStored  = "stored"  // the send returned nil
	entryFailed  = "failed"  // the send returned an error
	entryBegan   = "began"   // the handler was called
	entryHandled = "handled" // the handler is about to return nil
	entryAborted = "aborted" // the handler's context ended
	entryEnded   = "ended"   // the process ends as it should
)

// journal is what a process writes down, one entry a line, in a file that outlives it. An entry is one write, so that what
// the process wrote before it was killed can be read afterwards.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func newJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: file}, nil
}

func (j *journal) write(entries ...string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.file.WriteString(strings.Join(entries, "\n") + "\n")
	return err
}

// sync returns when everything that was written is on the disk.
func (j *journal) sync() error { return j.file.Sync() }

func (j *journal) close() error { return j.file.Close() }

// readJournal returns the entries whose first word is kind. The last line counts only when it is whole.
func readJournal(t *testing.T, path, kind string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	var found []string
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			return found
		}
		if first, second, _ := strings.Cut(line, " "); first == kind {
			found = append(found, second)
		}
		text = rest
	}
}

func journalPath(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name+".journal")
}

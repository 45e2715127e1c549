package asynctest

import (
	"bytes"
	"log/slog"
	"sync"
)

// testLog writes the runtime's log to the test's, until the test is over: a test that has ended panics when it is logged
// to.
type testLog struct {
	t T

	mu     sync.Mutex
	closed bool
}

func (l *testLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// Write logs one line.
func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.t.Logf("%s", bytes.TrimSuffix(line, []byte("\n")))
	}
	return len(line), nil
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

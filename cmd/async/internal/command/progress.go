package command

import (
	"fmt"
	"io"
	"os"
	"time"
)

// How often progress is shown: on a terminal in place, elsewhere as a line.
const (
	terminalPace = 100 * time.Millisecond
	plainPace    = 5 * time.Second
)

// progress tells people how far a job is.
type progress struct {
	out      io.Writer
	verb     string
	all      int
	done     int
	terminal bool
	next     time.Time
	shown    bool
}

func (s *session) progress(verb string, all int) *progress {
	return newProgress(s.stderr, verb, all, isTerminal(s.stderr))
}

func newProgress(out io.Writer, verb string, all int, terminal bool) *progress {
	p := &progress{out: out, verb: verb, all: all, terminal: terminal}
	p.next = time.Now().Add(p.pace())
	return p
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) pace() time.Duration {
	if p.terminal {
		return terminalPace
	}
	return plainPace
}

// step counts one letter.
func (p *progress) step() {
	p.done++
	if now := time.Now(); !now.Before(p.next) {
		p.next = now.Add(p.pace())
		p.shown = true
		if p.terminal {
			fmt.Fprintf(p.out, "\r%s %d of %d", p.verb, p.done, p.all)
		} else {
			fmt.Fprintf(p.out, "%s %d of %d\n", p.verb, p.done, p.all)
		}
	}
}

// end clears the line for what comes after.
func (p *progress) end() {
	if p.terminal && p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

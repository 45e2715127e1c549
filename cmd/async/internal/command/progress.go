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
	p := &progress{out: s.stderr, verb: verb, all: all}
	if f, ok := s.stderr.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	p.next = time.Now().Add(p.pace())
	return p
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
	if now := time.Now(); now.After(p.next) {
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

package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/asyncpb/async/test/faults/internal/load"
)

// endTimeout is how long a process may take to end after SIGTERM, beyond what it was told to take.
const endTimeout = time.Minute

// process is this program, started again as a producer or a consumer.
type process struct {
	name   string
	cmd    *exec.Cmd
	stderr string // the file that it writes its errors and its log to
	exited chan struct{}
	err    error // after exited
}

func start(name, stderr string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(stderr, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// The process has its own.
	defer func() { _ = file.Close() }()
	p := &process{name: name, stderr: stderr, cmd: exec.Command(self, args...), exited: make(chan struct{})} //nolint:gosec // this program itself
	p.cmd.Stderr = file
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) ended() <-chan struct{} { return p.exited }

func (p *process) failure() error { return p.err }

func (p *process) kill() error {
	if !p.running() {
		return fmt.Errorf("the %s had ended by itself: %w: %s", p.name, p.err, p.words())
	}
	err := p.cmd.Process.Kill()
	<-p.exited
	return err
}

// finish sends SIGTERM.
func (p *process) finish() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		return errors.Join(fmt.Errorf("the %s did not end within %s of SIGTERM", p.name, endTimeout), p.kill())
	}
	if p.err != nil {
		return fmt.Errorf("the %s failed: %w: %s", p.name, p.err, p.words())
	}
	return nil
}

func (p *process) words() string {
	data, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	return text[max(0, len(text)-1000):]
}

func (p *process) memory() int64 { return residentMemory(p.cmd.Process.Pid) }

// testify sends SIGQUIT, which the runtime of Go answers with what every goroutine is at.
func (p *process) testify() {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err == nil {
		<-p.exited
	}
}

// residentMemory is how many bytes of a process are in main memory, and 0 where the system does not say.
func residentMemory(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// eventually polls until done, and is an error after patience.
func eventually(ctx context.Context, patience time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited %s in vain until %s", patience, what))
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := load.Pass(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

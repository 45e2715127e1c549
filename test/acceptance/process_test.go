package acceptance_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// process is this test binary, started again with an assignment.
type process struct {
	assignment
	cmd    *exec.Cmd
	stderr bytes.Buffer
	exited chan struct{}
	err    error // after exited
}

// launch starts a process. It is killed when the test ends, if it still runs then.
func launch(t *testing.T, name string, a assignment) *process {
	t.Helper()
	a.Journal = journalPath(t, name)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{assignment: a, cmd: exec.Command(self), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), assignmentVariable+"="+string(text), "ASYNC_TEST_AMQP_URL="+brokerURL())
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-p.exited:
		default:
			p.signal(t, syscall.SIGKILL)
			<-p.exited
		}
	})
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("signal %s %s%s: %v", p.Role, p.App, p.Name, err)
	}
}

// kill ends the process without a warning, while it is at work.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	await(t, p.exited, "the end of a killed process")
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatalf("%s %s%s had ended by itself before it was killed: %v", p.Role, p.App, p.Name, p.err)
	}
}

// finish waits for the process to end as it should.
func (p *process) finish(t *testing.T) {
	t.Helper()
	await(t, p.exited, "the end of "+p.Role+" "+p.App+p.Name)
	if p.err != nil {
		t.Fatalf("%s %s%s: %v\n%s", p.Role, p.App, p.Name, p.err, p.stderr.String())
	}
}

func (p *process) entries(t *testing.T, kind string) []string {
	t.Helper()
	return readJournal(t, p.Journal, kind)
}

// awaitReady waits until a consumer consumes.
func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, p.Role+" "+p.App+" is ready", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("%s %s ended early: %v\n%s", p.Role, p.App, p.err, p.stderr.String())
		default:
		}
		return len(p.entries(t, entryReady)) > 0
	})
}

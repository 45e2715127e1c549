package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// Producer sends messages until its context ends.
type Producer struct {
	// Stream is the kind of load.
	Stream Stream
	// Run is the first part of every id: letters and digits.
	Run string
	// Keys is how many keys there are, each with a sequence of its own; default 64.
	Keys int
	// Writers is how many goroutines send, each one message at a time; default 16.
	Writers int
	// Rate is how many messages are sent a second at most; default 1000.
	Rate int
	// Count ends the production after so many messages; 0 is never.
	Count int
	// Size is how many bytes a command has, about; default 64.
	Size int
	// Spoilt is the messages that are sent so that nobody can decode them; default none. Only commands can be spoilt.
	Spoilt Poison
	// SendTimeout bounds one send; default 2 s. What failed is sent again with the same id until it is accepted.
	SendTimeout time.Duration
	// Journal is where the producer writes to, and Path the journal of an earlier process that is to be continued.
	Journal *journal.Writer
	Path    string
}

// lateAfter is how much later than its context a send may return.
const lateAfter = 100 * time.Millisecond

// position is where the sequence of a key stands: next is not sent yet, unless pending.
type position struct {
	next    int
	pending bool
}

// Produce sends until ctx ends or Count is reached. A sequence that an earlier process began is continued: what it sent
// without an answer is sent again, with the same id.
func (p Producer) Produce(ctx context.Context, rt *async.Runtime) error {
	p.defaults()
	positions, err := p.resume()
	if err != nil {
		return err
	}
	send := p.Stream.sender(rt, p.Size, p.Spoilt)
	accepted := make(chan journal.Entry, p.Writers)
	var recorder sync.WaitGroup
	var recordErr error
	recorder.Go(func() { recordErr = p.record(accepted) })
	var writers sync.WaitGroup
	errs := make([]error, p.Writers)
	for w := range p.Writers {
		writers.Go(func() { errs[w] = p.write(ctx, w, positions, send, accepted) })
	}
	writers.Wait()
	close(accepted)
	recorder.Wait()
	return errors.Join(errors.Join(errs...), recordErr)
}

func (p *Producer) defaults() {
	for _, d := range []struct {
		value *int
		usual int
	}{{&p.Keys, 64}, {&p.Writers, 16}, {&p.Rate, 1000}, {&p.Size, 64}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	p.Writers = min(p.Writers, p.Keys)
	if p.SendTimeout <= 0 {
		p.SendTimeout = 2 * time.Second
	}
}

func (p *Producer) resume() ([]position, error) {
	positions := make([]position, p.Keys)
	numbers := make(map[string]int, p.Keys)
	for k := range positions {
		positions[k].next = 1
		numbers[p.key(k)] = k
	}
	if p.Path == "" {
		return positions, nil
	}
	entries, err := journal.Read(p.Path)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		key, seq := check.Split(entries[i].ID)
		k, ours := numbers[key]
		if !ours {
			continue
		}
		switch at := &positions[k]; entries[i].Kind {
		case journal.Sent:
			if seq >= at.next {
				*at = position{next: seq, pending: true}
			}
		case journal.Accepted:
			if seq >= at.next {
				*at = position{next: seq + 1}
			}
		default:
		}
	}
	return positions, nil
}

func (p *Producer) key(k int) string { return fmt.Sprintf("%s-%d", p.Run, k) }

// write sends the keys of one writer in turn, in the pace of its share of the rate. A pace that was missed is not made
// up for beyond a tenth of a second.
func (p *Producer) write(ctx context.Context, w int, positions []position, send sendFunc, accepted chan<- journal.Entry) error {
	pace := time.Second * time.Duration(p.Writers) / time.Duration(p.Rate)
	due := time.Now()
	left := p.Count / p.Writers
	if w < p.Count%p.Writers {
		left++
	}
	for k := w; ctx.Err() == nil && (p.Count == 0 || left > 0); k = p.after(k) {
		if err := Pass(ctx, time.Until(due)); err != nil {
			return nil //nolint:nilerr // the end of the production is no failure
		}
		due = due.Add(pace)
		if behind := time.Now().Add(-100 * time.Millisecond); due.Before(behind) {
			due = behind
		}
		done, err := p.deliver(ctx, fmt.Sprintf("%s-%d", p.key(k), positions[k].next), send, accepted)
		if err != nil {
			return err
		}
		if done {
			positions[k].next++
			left--
		}
	}
	return nil
}

// after is the next key of the writer of k.
func (p *Producer) after(k int) int {
	if k+p.Writers < p.Keys {
		return k + p.Writers
	}
	return k % p.Writers
}

// deliver sends one message until it is accepted; false if ctx ended before that.
func (p *Producer) deliver(ctx context.Context, id string, send sendFunc, accepted chan<- journal.Entry) (bool, error) {
	e := journal.Entry{ID: id, RPC: p.Stream.RPC(), Sum: sum(p.Stream.content(id, p.Size))}
	for {
		e.Kind, e.Attempt = journal.Sent, 0
		if err := p.Journal.Write(e); err != nil {
			return false, err
		}
		// The end of the production waits for the answer, so that little stays unknown.
		sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.SendTimeout)
		began := time.Now()
		err := send(sending, id)
		over := time.Since(began) - p.SendTimeout
		cancel()
		if over > lateAfter {
			e.Kind, e.Attempt = journal.Late, int(over.Milliseconds())
			if err := p.Journal.Write(e); err != nil {
				return false, err
			}
		}
		e.Attempt = 0
		switch {
		case err == nil:
			e.Kind = journal.Accepted
			accepted <- e
			return true, nil
		case errors.Is(err, async.ErrBlocked):
			e.Kind = journal.Blocked
		case errors.Is(err, async.ErrUnknown):
			e.Kind = journal.Unknown
		case errors.Is(err, async.ErrInvalid), errors.Is(err, async.ErrTooLarge), errors.Is(err, async.ErrClosed):
			return false, err
		default:
			e.Kind = journal.Refused
		}
		if err := p.Journal.Write(e); err != nil {
			return false, err
		}
		if Pass(ctx, 20*time.Millisecond) != nil {
			return false, nil //nolint:nilerr // the end of the production is no failure
		}
	}
}

// record writes down what was accepted and has it on the disk before it takes more.
func (p *Producer) record(accepted <-chan journal.Entry) error {
	var failed error
	for e := range accepted {
		entries := []journal.Entry{e}
		for more := len(accepted); more > 0; more-- {
			entries = append(entries, <-accepted)
		}
		failed = errors.Join(failed, p.Journal.Write(entries...), p.Journal.Sync())
	}
	return failed
}

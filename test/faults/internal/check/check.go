// Package check compares what producers were promised with what consumers got, and names every difference.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
)

// StuckAfter is how long after its acceptance, and after the last fault was healed, a message must have been handled.
const StuckAfter = time.Minute

// Conditions are what the journals do not say.
type Conditions struct {
	// Ordered asks for the order within each key.
	Ordered bool
	// Healed is when the last fault was over; zero if there was none.
	Healed time.Time
	// Poison tells the messages that must end as dead letters, by id; nil for none. Every other one must be handled.
	Poison func(id string) bool
}

// Report is the differences, as ids of messages in the order in which they were found.
type Report struct {
	// Sent counts the different messages that were tried to be sent, Accepted those whose send returned nil, Handled those
	// that were handled at least once, and Dead those that became dead letters.
	Sent, Accepted, Handled, Dead int
	// Lost were accepted, and neither handled nor made dead letters.
	Lost []string
	// Phantom were handled, and never sent.
	Phantom []string
	// Duplicate were handled again, once for each time.
	Duplicate []string
	// Reordered were first handled after a later one of their key.
	Reordered []string
	// Misdelivered were handled by another rpc than they were sent to.
	Misdelivered []string
	// Stuck were handled later than StuckAfter.
	Stuck []string
	// Corrupt had another content than was sent.
	Corrupt []string
	// Buried became dead letters, and are no poison.
	Buried []string
	// Escaped are poison that was handled.
	Escaped []string
}

// Broken says what no fault may cause, one sentence for each kind, with a few of the ids. Duplicates are allowed: a
// message is handled at least once.
func (r *Report) Broken() []string {
	var broken []string
	for _, k := range []struct {
		name string
		ids  []string
	}{
		{"lost", r.Lost},
		{"phantom", r.Phantom},
		{"reordered", r.Reordered},
		{"misdelivered", r.Misdelivered},
		{"stuck", r.Stuck},
		{"corrupt", r.Corrupt},
		{"dead without a reason", r.Buried},
		{"handled though they are poison", r.Escaped},
	} {
		if len(k.ids) > 0 {
			broken = append(broken, fmt.Sprintf("%d %s: %s", len(k.ids), k.name, strings.Join(k.ids[:min(len(k.ids), 5)], ", ")))
		}
	}
	if r.Accepted == 0 {
		broken = append(broken, "nothing was accepted, so nothing was proven")
	}
	return broken
}

// fate is what is known of one message.
type fate struct {
	sent     *journal.Entry
	accepted int64
	handled  bool
	dead     bool
}

// Journals compares the journals of producers with those of consumers. The clocks of their machines must agree.
func Journals(producers, consumers []journal.Entry, c Conditions) *Report {
	r := new(Report)
	fates := make(map[string]*fate)
	var order []string
	for i := range producers {
		e := &producers[i]
		f := fates[e.ID]
		switch e.Kind {
		case journal.Sent:
			if f == nil {
				fates[e.ID] = &fate{sent: e}
				order = append(order, e.ID)
				r.Sent++
			}
		case journal.Accepted:
			if f != nil && f.accepted == 0 {
				f.accepted = e.At
				r.Accepted++
			}
		default:
		}
	}
	events := slices.Clone(consumers)
	slices.SortStableFunc(events, func(a, b journal.Entry) int { return cmp.Compare(a.At, b.At) })
	latest := make(map[string]int)
	for i := range events {
		r.follow(&events[i], fates, latest, c)
	}
	for _, id := range order {
		f := fates[id]
		if f.accepted != 0 && !f.handled && !f.dead {
			r.Lost = append(r.Lost, id)
		}
	}
	return r
}

// follow takes what a consumer wrote. latest holds the highest sequence number that was handled, by key.
func (r *Report) follow(e *journal.Entry, fates map[string]*fate, latest map[string]int, c Conditions) {
	if e.Kind != journal.Handled && e.Kind != journal.Dead {
		return
	}
	f := fates[e.ID]
	if f == nil {
		r.Phantom = append(r.Phantom, e.ID)
		return
	}
	poison := c.Poison != nil && c.Poison(e.ID)
	if e.Kind == journal.Dead {
		if !f.dead {
			f.dead = true
			r.Dead++
		}
		if !poison {
			r.Buried = append(r.Buried, e.ID)
		}
		return
	}
	if poison {
		r.Escaped = append(r.Escaped, e.ID)
	}
	if e.RPC != f.sent.RPC {
		r.Misdelivered = append(r.Misdelivered, e.ID)
	}
	if e.Sum != f.sent.Sum {
		r.Corrupt = append(r.Corrupt, e.ID)
	}
	if f.handled {
		r.Duplicate = append(r.Duplicate, e.ID)
		return
	}
	f.handled = true
	r.Handled++
	if f.accepted != 0 && e.At-max(f.accepted, healed(c)) > int64(StuckAfter) {
		r.Stuck = append(r.Stuck, e.ID)
	}
	key, seq := Split(e.ID)
	if c.Ordered && seq < latest[key] {
		r.Reordered = append(r.Reordered, e.ID)
	}
	latest[key] = max(latest[key], seq)
}

// Split takes an id apart into run and key, and the sequence number within the key.
func Split(id string) (key string, seq int) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return id, 0
	}
	seq, err := strconv.Atoi(id[i+1:])
	if err != nil {
		return id, 0
	}
	return id[:i], seq
}

// healed is zero, and not what UnixNano makes of the zero time, if there was no fault.
func healed(c Conditions) int64 {
	if c.Healed.IsZero() {
		return 0
	}
	return c.Healed.UnixNano()
}

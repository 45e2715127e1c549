package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/node"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// patience is how long a trial waits for what must happen, such as the last message, before it gives up.
const patience = 90 * time.Second

// gaugeSuffix is added to the name of a journal for what its process had in use.
const gaugeSuffix = ".gauges"

// logSuffix is added to the name of a journal for what its process had to say.
const logSuffix = ".log"

// heartbeat is what the connections of a trial use.
const heartbeat = 5 * time.Second

// session is one fault at one kind of queue: a producer and a consumer, each behind a proxy of its own.
type session struct {
	*Lab
	fault     Fault
	queue     string
	namespace string
	dir       string
	nodes     []*node.Node // of a cluster, which is used without proxies
	sending   *proxy.Proxy
	taking    *proxy.Proxy
	memory    *memorytransport.Broker // of the memory transport, in place of nodes and proxies
	producer  party
	consumer  party
	consumers int // journals
	healed    time.Time
	figures   map[string]float64
	broken    []string
}

func (s *session) journal(name string) string { return filepath.Join(s.dir, name) }

// brokers are the nodes that hold the queues.
func (s *session) brokers() []*node.Node {
	if len(s.nodes) > 0 {
		return s.nodes
	}
	return []*node.Node{s.node}
}

func (s *session) url(p *proxy.Proxy) string {
	hosts := p.Address()
	if len(s.nodes) > 0 {
		hosts = node.Addresses(s.nodes)
	}
	return fmt.Sprintf("amqp://guest:guest@%s/?queue_type=%s&heartbeat=%s", hosts, s.queue, heartbeat)
}

func (s *session) common(p *proxy.Proxy, name string) []string {
	args := []string{
		"--url", s.url(p), "--namespace", s.namespace, "--stream", string(s.fault.Load.Stream), "--journal", s.journal(name),
		"--gauges", s.journal(name) + gaugeSuffix,
	}
	if s.Evidence != "" {
		args = append(args, "--log")
	}
	return args
}

func (s *session) startProducer() error {
	if s.queue == inMemory {
		return s.resideProducer()
	}
	l := s.fault.Load
	p, err := start("producer", s.journal("producer")+logSuffix, append(append([]string{"produce"}, s.common(s.sending, "producer")...),
		"--rate", strconv.Itoa(l.Rate), "--writers", strconv.Itoa(l.Writers), "--size", strconv.Itoa(l.Size), "--spoil", strconv.Itoa(s.spoilt()))...)
	if err == nil {
		s.producer = p
	}
	return err
}

// startConsumer starts a consumer with a journal of its own and does not wait for it.
func (s *session) startConsumer() error {
	l := s.fault.Load
	name := "consumer-" + strconv.Itoa(s.consumers)
	if s.queue == inMemory {
		s.consumers++
		return s.resideConsumer(s.journal(name))
	}
	p, err := start("consumer", s.journal(name)+logSuffix, append(append([]string{"consume"}, s.common(s.taking, name)...),
		"--handling", l.Handling.String(), "--drain", l.drain().String(),
		"--poison", strconv.Itoa(l.Poison.Every), "--poison-most", strconv.Itoa(l.Poison.Most), "--harm", string(l.harm()))...)
	s.consumers++
	if err == nil {
		s.consumer = p
	}
	return err
}

// awaitConsumer waits until the last consumer consumes.
func (s *session) awaitConsumer(ctx context.Context) error {
	path := s.lastConsumer()
	return eventually(ctx, patience, "the consumer is ready", func() (bool, error) {
		if !s.consumer.running() {
			return false, fmt.Errorf("the consumer ended: %w: %s", s.consumer.failure(), s.consumer.words())
		}
		entries, err := journal.Read(path)
		return len(entries) > 0, err
	})
}

// lastConsumer is the journal of the consumer that was started last.
func (s *session) lastConsumer() string { return s.journal("consumer-" + strconv.Itoa(s.consumers-1)) }

// sent and got are what the journals hold.
func (s *session) sent() ([]journal.Entry, error) { return journal.Read(s.journal("producer")) }

func (s *session) got() ([]journal.Entry, error) {
	var paths []string
	for i := range s.consumers {
		paths = append(paths, s.journal("consumer-"+strconv.Itoa(i)))
	}
	return journal.Read(append(paths, s.journal("dead"))...)
}

// recently reads the end of the journals of both sides, which is all that a look at the present needs.
func (s *session) recently(kind journal.Kind) ([]journal.Entry, error) {
	if kind != journal.Handled {
		return journal.Tail(s.journal("producer"))
	}
	var all []journal.Entry
	for i := range s.consumers {
		entries, err := journal.Tail(s.journal("consumer-" + strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// since waits for an entry of a kind that is younger than t, and returns how much.
func (s *session) since(ctx context.Context, t time.Time, kind journal.Kind) (time.Duration, error) {
	var age time.Duration
	err := eventually(ctx, patience, fmt.Sprintf("something is %s again", kind), func() (bool, error) {
		entries, err := s.recently(kind)
		for i := range entries {
			if entries[i].Kind == kind && entries[i].At > t.UnixNano() {
				age = time.Duration(entries[i].At - t.UnixNano())
				return true, nil
			}
		}
		return false, err
	})
	return age, err
}

// flow waits until messages are accepted and handled that were so after t, and notes how long that took at most.
func (s *session) flow(ctx context.Context, t time.Time, bar time.Duration) error {
	accepted, err1 := s.since(ctx, t, journal.Accepted)
	handled, err2 := s.since(ctx, t, journal.Handled)
	s.note("again accepted s", accepted.Seconds())
	s.note("again handled s", handled.Seconds())
	if bar > 0 && max(accepted, handled) > bar {
		s.fail("sends went on after %s and handlers after %s, and %s was allowed", accepted, handled, bar)
	}
	return errors.Join(err1, err2)
}

// note keeps the largest value of a figure.
func (s *session) note(figure string, value float64) {
	s.figures[figure] = max(s.figures[figure], value)
}

func (s *session) fail(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *session) heal() {
	s.sending.Set(proxy.Weather{})
	s.taking.Set(proxy.Weather{})
	s.healed = time.Now()
}

func (s *session) conditions() check.Conditions {
	c := check.Conditions{Ordered: s.fault.Load.Stream == load.Ordered, Healed: s.healed}
	if s.deadly() {
		c.Poison = s.fault.Load.Poison.Has
	}
	return c
}

// settle ends the producer, waits until what was accepted is handled or dead, and ends the consumer.
func (s *session) settle(ctx context.Context) (*check.Report, error) {
	err := s.producer.finish()
	sent, readErr := s.sent()
	if err := errors.Join(err, readErr); err != nil {
		return nil, err
	}
	var report *check.Report
	err = eventually(ctx, patience, "everything is handled", func() (bool, error) {
		if s.deadly() {
			if err := s.exhume(ctx); err != nil {
				return false, err
			}
		}
		got, err := s.got()
		if err != nil {
			return false, err
		}
		report = check.Journals(sent, got, s.conditions())
		return len(report.Lost) == 0 || s.fault.Lossy, nil
	})
	if report == nil || ctx.Err() != nil {
		return nil, err
	}
	// What did not come in time is in the report.
	if err := s.consumer.finish(); err != nil {
		return nil, err
	}
	got, err := s.got()
	if err != nil {
		return nil, err
	}
	for i := range sent {
		if sent[i].Kind == journal.Late {
			s.note("latest send ms over its time", float64(sent[i].Attempt))
		}
	}
	return check.Journals(sent, got, s.conditions()), nil
}

// close ends what still runs.
func (s *session) close() error {
	for _, p := range []party{s.producer, s.consumer} {
		if p != nil && p.running() {
			_ = p.kill()
		}
	}
	if s.sending != nil {
		s.sending.Close()
	}
	if s.taking != nil {
		s.taking.Close()
	}
	return errors.Join(node.CloseAll(s.nodes), os.RemoveAll(s.dir))
}

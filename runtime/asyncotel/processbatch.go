package asyncotel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
)

// batchProcess is the handling of a batch.
type batchProcess struct {
	spanned

	entries []batchEntry

	mu      sync.Mutex
	longest duration // of the entries that have come to their end
	skewed  bool     // the clock of one of the senders is ahead
}

// batchEntry is one message of a batch that is handled.
type batchEntry struct {
	handling *batchProcess
	travel   travel
	skewed   bool // counted
	known    bool // what becomes of it
}

func (p *endpoint) startProcessBatch(ctx context.Context, r *async.Receiving) async.Operation {
	op := &batchProcess{entries: make([]batchEntry, len(r.Deliveries))}
	arrivals := make([]arrival, len(r.Deliveries))
	links := make([]trace.Link, 0, len(r.Deliveries))
	for n, d := range r.Deliveries {
		from := p.origin(d.Message)
		a := arrivalOf(d, &from, r.Start)
		arrivals[n], op.entries[n] = a, batchEntry{handling: op, travel: travelOf(&from), skewed: a.skewed}
		op.skewed = op.skewed || a.skewed
		if !from.creation.IsValid() {
			continue
		}
		attributes := append(a.attributes(p.messageAttributes(nil, d)), p.content(d.Message)...)
		links = append(links, p.linked(from.creation, p.mode, attributes...))
	}
	op.begin(ctx, p, p.process, r.Start, trace.WithLinks(links...), p.startsWith(keyBatchCount.Int(len(r.Deliveries))))
	op.set(keyTraceMode.String(modeName(p.mode)))
	p.process.success.add(begunProcess, len(r.Deliveries))
	for _, a := range arrivals {
		p.countArrival(op.ctx, a, p.process, true)
	}
	return op
}

// startEntry begins the handling of one message of a batch, which ends when it is known what becomes of that.
func (*endpoint) startEntry(batch async.Operation, n int) async.Operation {
	handling, ours := batch.(*batchProcess)
	if !ours {
		return nil
	}
	return &handling.entries[n]
}

// End ends the handling of a batch. What its entries have become is told by them; on the span stands what took longest, with those
// of which the success of the batch decides.
func (op *batchProcess) End(r async.Result) {
	p, i := op.p, op.p.instruments
	now := time.Now()
	p.process.success.add(endedProcess, len(op.entries))
	if op.recording() {
		op.set(keyProcessDuration.Float64(max(now.Sub(op.start).Seconds(), 0)))
		op.mu.Lock()
		longest := op.longest
		for n := range op.entries {
			if e := &op.entries[n]; !e.known && r.Err == nil {
				longest = longest.longest(e.travel.until(now))
			}
		}
		op.mu.Unlock()
		longest.skewed = longest.skewed || op.skewed
		op.tell(longest, true)
	}
	m, took := op.finish(r.Err, now)
	i.process.record(op.ctx, took, m)
	m.add(countedConsumed, len(op.entries))
}

// Context is that of the batch.
func (e *batchEntry) Context(parent context.Context) context.Context {
	return e.handling.Context(parent)
}

func (e *batchEntry) spanContext() trace.SpanContext { return e.handling.spanContext() }

// End records how long the message took, with its own verdict.
func (e *batchEntry) End(r async.Result) {
	op, p := e.handling, e.handling.p
	done := r.At
	if done.IsZero() {
		done = time.Now()
	}
	took := e.travel.until(done)
	op.mu.Lock()
	e.known = true
	if ends(r.Fate) {
		op.longest = op.longest.longest(took)
	}
	op.mu.Unlock()
	if took.skewed && !e.skewed {
		p.process.success.add(countedSkew, 1)
	}
	if !ends(r.Fate) {
		return
	}
	kind := ""
	if r.Err != nil && r.Fate != async.FateAck {
		kind = errorType(r.Err, p.capabilities.System)
	}
	p.instruments.arrived(op.ctx, took, p.of(p.process, kind))
}

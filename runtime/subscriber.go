package async

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// Subscriber receives the messages of one event or command rpc. Generated subscribers hold one for each rpc. It is safe for
// concurrent use.
type Subscriber[M proto.Message] struct {
	rt   *Runtime
	spec *Spec
	opts []SubscribeOption

	mu   sync.Mutex
	pull *binding
}

// NewSubscriber prepares a subscriber; nothing is consumed before On, OnBatch, Receive or All.
func NewSubscriber[M proto.Message](rt *Runtime, spec *Spec, opts ...SubscribeOption) *Subscriber[M] {
	return &Subscriber[M]{rt: rt, spec: spec, opts: opts}
}

func (s *Subscriber[M]) options(opts []SubscribeOption) []SubscribeOption {
	return append(slices.Clip(s.opts), opts...)
}

// On registers a handler; see [Handle].
func (s *Subscriber[M]) On(h func(context.Context, M) error, opts ...SubscribeOption) error {
	return Handle(s.rt, s.spec, h, s.options(opts)...)
}

// OnBatch registers a handler of batches; see [WithBatch] for when it is called. Each entry can be settled by itself; the
// handler's return value is the verdict on those that are not settled yet. Interceptors and Watermill middlewares do not wrap
// batches. An rpc that is ordered by key has none: [ErrUnsupported].
func (s *Subscriber[M]) OnBatch(h func(context.Context, []*Delivery[M]) error, opts ...SubscribeOption) error {
	_, err := s.rt.register(s.spec, modeBatch, s.options(opts), func(b *binding) {
		b.batch = func(ctx context.Context, entries []*delivery) error {
			batch := make([]*Delivery[M], 0, len(entries))
			for _, x := range entries {
				d, err := newDelivery[M](x)
				if err != nil {
					return err
				}
				batch = append(batch, d)
			}
			return h(ctx, batch)
		}
		b.intercept(runProcess, s.options(opts))
	})
	return err
}

// Receive waits for the next message. The first call starts to consume, without Run; at most the binding's concurrency of
// deliveries can be out and unsettled at once. The caller settles the delivery. Errors: ctx's, [ErrPaused] while the binding is
// paused, [ErrClosed] when the runtime is shut down, or what is wrong with the subscription.
func (s *Subscriber[M]) Receive(ctx context.Context) (*Delivery[M], error) {
	start := time.Now()
	for {
		b, err := s.puller(ctx)
		if err != nil {
			return nil, err
		}
		x, err := b.take(ctx)
		if errors.Is(err, errReleased) {
			continue
		}
		if err != nil {
			b.unreceived(ctx, start, err)
			return nil, opError("receive", s.spec, err)
		}
		if x.prepare() {
			x.pulled(ctx, start)
			return newDelivery[M](x)
		}
	}
}

// All yields messages until ctx ends, the loop breaks, or an error is yielded: one of [Subscriber.Receive]. What was fetched and not
// yielded goes back to the queue, uncounted; a delivery that was yielded and not settled stays the caller's until the runtime is
// closed. Others who receive from the same subscriber at the time go on.
func (s *Subscriber[M]) All(ctx context.Context) iter.Seq2[*Delivery[M], error] {
	return func(yield func(*Delivery[M], error) bool) {
		defer s.release()
		for {
			d, err := s.Receive(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// puller registers and starts the pull binding, once.
func (s *Subscriber[M]) puller(ctx context.Context) (*binding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pull == nil {
		b, err := s.rt.register(s.spec, modePull, s.opts, func(b *binding) { b.intercept(runProcess, s.opts) })
		if err != nil {
			return nil, err
		}
		s.pull = b
	}
	if err := s.pull.start(ctx, context.Background()); err != nil {
		return nil, err
	}
	return s.pull, nil
}

// release stops fetching and gives back what is waiting. It does not wait for what the caller holds.
func (s *Subscriber[M]) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pull != nil {
		s.pull.release()
	}
}

// errReleased is the end of a wait for a feed that somebody else has released: the next one has what it gave back.
var errReleased = errors.New("the feed was released")

// take waits for a delivery of a pull binding.
func (b *binding) take(ctx context.Context) (*delivery, error) {
	b.mu.Lock()
	f := b.feed
	b.mu.Unlock()
	if f == nil {
		return nil, b.stopped()
	}
	for {
		x := f.lanes[0].wait(ctx, f.draining, nil)
		switch {
		case x == nil && ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case x == nil:
			return nil, b.stopped()
		case !x.lost():
			return x, nil
		}
		x.requeue()
	}
}

// stopped says why a pull binding has no feed, or one that drains.
func (b *binding) stopped() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.paused == nil:
		return errReleased
	case errors.Is(b.paused, ErrPaused):
		return b.paused
	default:
		return fmt.Errorf("%w: %w", ErrPaused, b.paused)
	}
}

// Responder answers the requests of one rpc. Generated subscribers hold one for each request.
type Responder[Req, Res proto.Message] struct {
	rt   *Runtime
	spec *Spec
	opts []SubscribeOption
}

// NewResponder prepares a responder; nothing is consumed before On.
func NewResponder[Req, Res proto.Message](rt *Runtime, spec *Spec, opts ...SubscribeOption) *Responder[Req, Res] {
	return &Responder[Req, Res]{rt: rt, spec: spec, opts: opts}
}

// On registers a handler; see [HandleRequest].
func (r *Responder[Req, Res]) On(h func(context.Context, Req) (Res, error), opts ...SubscribeOption) error {
	return HandleRequest(r.rt, r.spec, h, append(slices.Clip(r.opts), opts...)...)
}

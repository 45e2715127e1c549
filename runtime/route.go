package async

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asyncpb/async/runtime/internal/config"
	"github.com/asyncpb/async/runtime/transport"
)

// route is one rpc bound to its transport and settings. Publishers, clients and subscriptions of one rpc share it.
type route struct {
	spec     *Spec
	name     string // of the rpc
	link     *link
	topic    string // physical
	settings settings
	declared declaration
	observer Observer
	order    *keyOrder // only for rpcs that are ordered by key
	err      error     // a wrong binding: the error of every call
}

// route binds spec, once for each runtime.
func (rt *Runtime) route(spec *Spec) *route {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if r := rt.routes[spec]; r != nil {
		return r
	}
	r := &route{spec: spec, name: spec.Name(), topic: rt.physical(spec.Topic), settings: rt.settingsOf(spec), declared: newDeclaration()}
	if spec.Policy.Ordering == OrderingByKey {
		r.order = new(keyOrder)
	}
	r.link, r.err = rt.linkFor(spec, r.settings.transport)
	if r.err == nil {
		r.err = r.check(rt)
	}
	if r.err == nil {
		r.observe(rt)
	}
	if r.err != nil {
		rt.problems = append(rt.problems, opError("bind", spec, r.err))
	}
	rt.routes[spec] = r
	return r
}

func (rt *Runtime) physical(topic string) string {
	if rt.namespace == "" {
		return topic
	}
	return rt.namespace + "." + topic
}

func (rt *Runtime) linkFor(spec *Spec, name string) (*link, error) {
	if name == config.HTTP {
		return nil, rt.located(spec, errors.New(`the binding says "transport: http", which only the Connect bridge can do; name a broker`))
	}
	if l := rt.named(name); name != "" && l != nil {
		return l, nil
	}
	return rt.defaultLink, nil
}

// located puts in front of err where the configuration chose the transport of spec.
func (rt *Runtime) located(spec *Spec, err error) error {
	pos, chosen := rt.config.Carrier(spec.Service, spec.Method)
	if !chosen || rt.overridden {
		return err
	}
	return fmt.Errorf("%s: %w", pos, err)
}

func (r *route) check(rt *Runtime) error {
	spec := r.spec
	if spec.Kind == KindRequest && r.link.caps.Reply == transport.None {
		return rt.located(spec, fmt.Errorf("%w: %s has no replies, so it cannot carry requests", ErrUnsupported, r.link.caps.System))
	}
	if spec.Policy.Ordering == OrderingByKey && r.link.caps.Order == transport.None {
		return rt.located(spec, fmt.Errorf("%w: %s keeps no order, %s is ordered by key", ErrUnsupported, r.link.caps.System, spec.Name()))
	}
	if err := r.checkNames(); err != nil {
		return err
	}
	if longest := transport.DeadName(r.topic, spec.Group); len(longest) > transport.MaxNameBytes {
		return fmt.Errorf("%w: the physical name %s has %d bytes, the limit is %d; shorten the namespace", ErrTooLarge, longest, len(longest), transport.MaxNameBytes)
	}
	return nil
}

// checkNames refuses names of a spec that nobody generated, and the topic of dead letters that is in force.
func (r *route) checkNames() error {
	topics := append([]string{r.spec.Topic}, r.spec.Aliases...)
	if dead := r.settings.deadTopic; dead != "" {
		topics = append(topics, dead)
	}
	for _, topic := range topics {
		if err := checkTopic(topic); err != nil {
			return err
		}
	}
	groups := r.spec.GroupAliases
	if r.spec.Group != "" {
		groups = append([]string{r.spec.Group}, groups...)
	}
	for _, group := range groups {
		if err := checkGroup(group); err != nil {
			return err
		}
	}
	return nil
}

// subscription describes the queue of group for the transport.
func (r *route) subscription(rt *Runtime, group string) transport.Subscription {
	s := transport.Subscription{
		Topic:        r.topic,
		Group:        group,
		GroupAliases: r.spec.GroupAliases,
		Kind:         r.spec.Kind.transport(),
		Ordered:      r.spec.Policy.Ordering == OrderingByKey,
		Concurrency:  r.settings.concurrency,
		DeadTopic:    transport.DeadName(r.topic, group),
		ReadOnly:     true,
	}
	if r.settings.deadTopic != "" {
		s.DeadTopic = rt.physical(r.settings.deadTopic)
	}
	for _, alias := range r.spec.Aliases {
		s.Aliases = append(s.Aliases, rt.physical(alias))
	}
	return s
}

// ensureQueue makes the queue of a command before the first send, so that commands wait for their first consumer. It waits for the
// broker until deadline at most: nothing was sent then.
func (r *route) ensureQueue(ctx context.Context, rt *Runtime, deadline time.Time) error {
	if r.spec.Kind != KindCommand || r.link.declarer == nil {
		return nil
	}
	if declare := r.link.declare; declare != "" && declare != transport.DeclareCreate {
		return nil
	}
	if r.declared.done.Load() {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err := r.declared.do(ctx, func() error {
		return r.link.declarer.Declare(ctx, r.subscription(rt, r.spec.Group))
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("%w: its queue was not declared in time: %w", ErrBlocked, err)
	}
	return err
}

// declaration runs a function until it has succeeded once, one caller at a time.
type declaration struct {
	done atomic.Bool
	turn chan struct{}
}

func newDeclaration() declaration { return declaration{turn: make(chan struct{}, 1)} }

func (d *declaration) do(ctx context.Context, f func() error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.done.Load() {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	d.done.Store(true)
	return nil
}

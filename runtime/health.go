package async

import (
	"context"
	"errors"
	"fmt"
)

// Health is the state of a runtime at one moment.
type Health struct {
	// Transports has an entry for each transport, Bindings one for each registered handler.
	Transports []TransportHealth
	Bindings   []BindingHealth
}

// TransportHealth is the state of the connection to one broker.
type TransportHealth struct {
	// Name is the name in the configuration, or ""; System is "rabbitmq", "in_memory", "go_channel".
	Name, System string
	// Err is nil, [ErrBlocked] while the broker takes no messages, or what is wrong with the connection.
	Err error
}

// BindingHealth is the state of one handler.
type BindingHealth struct {
	// RPC is "<service>/<method>"; Group is its group.
	RPC, Group string
	// Consuming is true while messages are fetched.
	Consuming bool
	// Paused is why the binding is paused, nil when it is not: [ErrUnimplemented], or [ErrPaused] after the user's Pause.
	Paused error
}

// Err returns nil when every transport is well and no binding was paused by the runtime itself; else all that is wrong.
func (h Health) Err() error {
	var errs []error
	for _, t := range h.Transports {
		if t.Err != nil {
			errs = append(errs, fmt.Errorf("transport %s: %w", first(t.Name, t.System), t.Err))
		}
	}
	for _, b := range h.Bindings {
		if b.Paused != nil && !errors.Is(b.Paused, ErrPaused) {
			errs = append(errs, fmt.Errorf("binding %s is paused: %w", b.RPC, b.Paused))
		}
	}
	return errors.Join(errs...)
}

// Health reports the state of transports and bindings. It does not wait for the network. After Shutdown every transport is
// [ErrClosed].
func (rt *Runtime) Health(context.Context) Health {
	var h Health
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for _, l := range rt.links {
		t := TransportHealth{Name: l.name, System: l.caps.System}
		switch {
		case rt.phase >= phaseClosing:
			t.Err = ErrClosed
		case l.reporter != nil:
			t.Err = l.reporter.Report()
		}
		h.Transports = append(h.Transports, t)
	}
	for _, b := range rt.bindings {
		b.mu.Lock()
		h.Bindings = append(h.Bindings, BindingHealth{
			RPC: b.route.spec.Name(), Group: b.sub.Group, Consuming: b.feed != nil, Paused: b.paused,
		})
		b.mu.Unlock()
	}
	return h
}

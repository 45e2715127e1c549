package asyncconnect

import (
	async "github.com/asyncpb/async/runtime"
)

// TransportOption configures [NewTransport] and [Route].
type TransportOption interface{ applyTransport(*transportOptions) }

// ServeOption configures [Serve].
type ServeOption interface{ applyServe(*serveOptions) }

type transportOptions struct{ implicit bool }

type serveOptions struct {
	implicit  bool
	subscribe []async.SubscribeOption
}

type implicitOption struct{}

func (implicitOption) applyTransport(o *transportOptions) { o.implicit = true }
func (implicitOption) applyServe(o *serveOptions)         { o.implicit = true }

// WithImplicit carries unary rpcs without an annotation too, as requests with default names: topic "<package>.<Service>.<Rpc>",
// group "<package>.<Service>". Client and server have to agree on it. By default such rpcs are left alone.
func WithImplicit() interface {
	TransportOption
	ServeOption
} {
	return implicitOption{}
}

type subscribeOptions []async.SubscribeOption

func (s subscribeOptions) applyServe(o *serveOptions) { o.subscribe = append(o.subscribe, s...) }

// WithSubscribeOptions gives options to every subscription that [Serve] makes, such as [async.WithGroup] for its events or
// [async.WithConcurrency]. By default there are none.
func WithSubscribeOptions(opts ...async.SubscribeOption) ServeOption { return subscribeOptions(opts) }

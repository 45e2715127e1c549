package async

import (
	"context"
	"sync"
)

// handlerContext is the context of one handler call. It ends with the parent, and when the call is over. Most handlers
// only hand it on, so what it takes to end by itself is made when somebody first waits for its end.
type handlerContext struct {
	context.Context // the parent: it has the values, and a request's deadline

	delivery *delivery
	info     *Info         // nil until the message is decoded
	reply    *replyHeaders // nil unless a request is handled

	mu    sync.Mutex
	own   context.Context // nil until it is needed
	stop  context.CancelCauseFunc
	over  bool
	cause error
}

// end ends the context with a cause; nil is [context.Canceled]. Only the first call counts.
func (c *handlerContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over, c.cause = true, cause
	if c.own != nil {
		c.stop(cause)
	}
}

// Done is closed when the context has ended.
func (c *handlerContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live().Done()
}

// live makes the part that can end by itself. The caller holds the lock.
func (c *handlerContext) live() context.Context {
	if c.own == nil {
		c.own, c.stop = context.WithCancelCause(c.Context)
		if c.over {
			c.stop(c.cause)
		}
	}
	return c.own
}

// Err is nil until the context has ended.
func (c *handlerContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil || c.over {
		return c.live().Err()
	}
	return c.Context.Err()
}

// Value finds what belongs to the call, and what the parent knows.
func (c *handlerContext) Value(key any) any {
	switch key {
	case deliveryKey{}:
		return c
	case infoKey{}:
		return c.info
	case replyHeadersKey{}:
		return c.reply
	}
	c.mu.Lock()
	parent := c.Context
	if c.own != nil || c.over {
		// The standard library asks with a key of its own for what ends and why.
		parent = c.live()
	}
	c.mu.Unlock()
	return parent.Value(key)
}

type deliveryKey struct{}

// callOf finds the call that ctx belongs to, nil outside a handler of this runtime's own dispatch.
func callOf(ctx context.Context) *handlerContext {
	c, _ := ctx.Value(deliveryKey{}).(*handlerContext)
	return c
}

// lifelines are the parents of handler contexts: one for each channel that deliveries come over, since all deliveries of
// a channel are lost together. They end when the feed's context does, or the channel.
type lifelines struct {
	mu    sync.Mutex
	byEnd map[<-chan struct{}]context.Context
}

// of returns the parent for a delivery whose own context is life.
func (l *lifelines) of(feed, life context.Context) context.Context {
	end := life.Done()
	if end == nil {
		return feed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx := l.byEnd[end]; ctx != nil {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(feed)
	if l.byEnd == nil {
		l.byEnd = make(map[<-chan struct{}]context.Context)
	}
	l.byEnd[end] = ctx //nolint:fatcontext // one for each channel, and it goes with the channel
	context.AfterFunc(life, func() {
		cancel(context.Cause(life))
		l.mu.Lock()
		delete(l.byEnd, end)
		l.mu.Unlock()
	})
	return ctx
}

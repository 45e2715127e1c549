package memorytransport

import (
	"bytes"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// content is what was sent. The queues that hold it share what it points to, which never changes.
type content struct {
	uuid     string
	payload  []byte
	metadata message.Metadata
	packed   packed // in place of uuid and metadata, when it is not empty
	expires  time.Time
}

func contentOf(msg *message.Message, p transport.Publication) content {
	if p.Given {
		return content{uuid: msg.UUID, payload: msg.Payload, metadata: msg.Metadata, expires: p.Expires}
	}
	return content{uuid: msg.UUID, payload: bytes.Clone(msg.Payload), metadata: maps.Clone(msg.Metadata), expires: p.Expires}
}

// pack is for what will wait.
func (c *content) pack() {
	c.packed = pack(c.uuid, c.metadata)
	c.uuid, c.metadata = "", nil
}

// lent fills in a message for one receiver that only reads it.
func (c *content) lent(msg *message.Message) {
	msg.UUID, msg.Payload, msg.Metadata = c.uuid, c.payload, c.metadata
	if c.packed != "" {
		msg.UUID, msg.Metadata = c.packed.unpack()
	}
}

// message makes a new message for one receiver that may do anything with it.
func (c *content) message() *message.Message {
	if c.packed != "" {
		id, md := c.packed.unpack()
		msg := message.NewMessage(id, c.payload)
		msg.Metadata = md
		return msg
	}
	msg := message.NewMessage(c.uuid, c.payload)
	if len(c.metadata) > 0 {
		msg.Metadata = maps.Clone(c.metadata)
	}
	return msg
}

// expired reports whether the message has lost its value. It asks for the time only if that matters.
func (c *content) expired() bool { return !c.expires.IsZero() && !time.Now().Before(c.expires) }

// state says where an item is.
type state uint8

const (
	ready    state = iota // in the queue
	returned              // in the queue, put back
	delayed               // waiting for the time it was sent for
	retrying              // waiting for its next attempt
	taken                 // with a consumer
	gone                  // expired
)

// item is one message in one queue.
type item struct {
	content
	queue        *queue
	seq          uint64
	redeliveries int
	state        state

	// The lock of the schedule guards these.
	planned bool   // it is in the schedule
	turn    uint32 // how often it was put there
}

// postpone counts an item that the schedule brings later: a message that was sent with a delay, or the next attempt of one
// that failed.
func (it *item) postpone(p transport.Publication) {
	it.state = delayed
	if p.Group != "" {
		it.state = retrying
	}
	it.queue.pend(it, 1)
}

// end is when a delay that begins now is over: no message is kept for longer than it is worth something.
func (it *item) end(delay time.Duration) time.Time {
	at := time.Now().Add(delay)
	if !it.expires.IsZero() && it.expires.Before(at) {
		return it.expires
	}
	return at
}

// bySeq is a heap of items that were put back, the oldest first.
type bySeq []*item

func (h bySeq) Len() int           { return len(h) }
func (h bySeq) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h bySeq) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bySeq) Push(x any)        { *h = append(*h, x.(*item)) } //nolint:errcheck,forcetypeassert // only items are pushed
func (h *bySeq) Pop() any          { return popLast((*[]*item)(h)) }

func popLast(items *[]*item) *item {
	last := len(*items) - 1
	it := (*items)[last]
	(*items)[last] = nil
	*items = (*items)[:last]
	return it
}

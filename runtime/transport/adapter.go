package transport

// SenderOf returns the transport's own [Sender], or one over its Watermill publisher that keeps the contract of Send
// as far as a blocking Publish allows: at most 64 calls of Publish run at once, messages with one key are published
// one after the other, ctx and Deadline are honoured, and what the transport's capabilities lack is refused with
// [ErrUnsupported]. A send that is past its Deadline resolves with [ErrUnknown] while its Publish may still run.
func SenderOf(t Transport) Sender {
	if s, ok := t.(Sender); ok {
		return s
	}
	return newPairSender(t.Publisher(), t.Capabilities())
}

// ConsumerOf returns the transport's own [Consumer], or one over its Watermill subscribers. That one reads through
// as many Watermill subscriptions as the concurrency asks for when the transport has groups, else through one, and
// refuses with [ErrUnsupported] what the transport's capabilities lack.
func ConsumerOf(t Transport) Consumer {
	if c, ok := t.(Consumer); ok {
		return c
	}
	return newPairConsumer(t.Subscriber, t.Capabilities())
}

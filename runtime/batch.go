package async

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

const maxBatch = 1000

// SendBatch sends msgs and waits until the broker has stored them all, at most 1000 at a time. It returns nil, or a
// [*BatchError] with an error for each message that failed, as [Publisher.Send] has it; the others are stored. [WithMessageID] is refused: it would give
// all messages one id; use [Each]. No messages is no error.
func (p *Publisher[M]) SendBatch(ctx context.Context, msgs []M, opts ...SendOption) error {
	if len(msgs) > maxBatch {
		return opError("send", p.route.spec, fmt.Errorf("%w: the batch has %d messages, the limit is %d", ErrTooLarge, len(msgs), maxBatch))
	}
	var each eachOption
	shared := make([]SendOption, 0, len(opts))
	for _, opt := range opts {
		if e, is := opt.(eachOption); is {
			each = e
			continue
		}
		shared = append(shared, opt)
	}
	if collectSend(shared).id != "" {
		return opError("send", p.route.spec, errors.New("WithMessageID on a batch would give every message the same id; use Each"))
	}
	receipts := make([]*Receipt, len(msgs))
	observed := p.route.beginBatch(ctx, len(msgs))
	for i, msg := range msgs {
		all := shared
		if each != nil {
			all = append(slices.Clip(shared), each(i)...)
		}
		out := &Outgoing{Spec: p.route.spec, Message: msg, options: collectSend(all), life: ctx, batch: observed}
		receipts[i] = p.send(ctx, out)
	}
	end := observed.handedOver(ctx, p.route)
	errs := make([]error, len(msgs))
	var failed error
	for i, err := range concludeAll(ctx, receipts) {
		errs[i] = opError("send", p.route.spec, err)
		failed = cmp.Or(failed, errs[i])
	}
	end(failed)
	if failed != nil {
		return &BatchError{Errs: errs}
	}
	return nil
}

// concludeAll waits for the answers of a batch. The transport has one last word for all of them.
func concludeAll(ctx context.Context, receipts []*Receipt) []error {
	answers := make([]error, 0, len(receipts))
	for i, r := range receipts {
		select {
		case <-r.Done():
			answers = append(answers, r.Err())
		case <-ctx.Done():
			return append(answers, lastWords(ctx, receipts[i:])...)
		}
	}
	return answers
}

// lastWords is what is known of receipts soon after the end of ctx.
func lastWords(ctx context.Context, receipts []*Receipt) []error {
	late, cancel := afterwards(ctx)
	defer cancel()
	answers := make([]error, len(receipts))
	for i, r := range receipts {
		answers[i] = r.Wait(late)
	}
	return answers
}

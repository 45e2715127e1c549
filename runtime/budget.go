package async

import (
	"context"
	"runtime/debug"
)

// decodedGrowth is how many times larger than its payload a message may become when it is decoded: a payload of nothing but
// empty submessages takes that much.
const decodedGrowth = 150

// decodedBytes is what the messages that the binding's handlers have at once may take, at the worst.
func (b *binding) decodedBytes() int64 {
	messages := int64(b.sub.Concurrency)
	if b.mode == modeBatch {
		messages *= int64(b.max)
	}
	return messages * decodedGrowth * b.route.settings.maxMessageBytes
}

// checkBudget warns of bindings whose messages can take more memory than the process may use. Without a limit (GOMEMLIMIT)
// nobody has said how much that is.
func (rt *Runtime) checkBudget(ctx context.Context, bindings []*binding) {
	limit := debug.SetMemoryLimit(-1)
	var budget float64 // which does not overflow
	var largest *binding
	for _, b := range bindings {
		budget += float64(b.decodedBytes())
		if largest == nil || b.decodedBytes() > largest.decodedBytes() {
			largest = b
		}
	}
	if budget <= float64(limit) {
		return
	}
	rt.log.WarnContext(ctx, "the messages of these handlers can take more memory when they are decoded than the process may use",
		"worst_case", int64(budget), "memory_limit", limit, "largest", largest.name(), "concurrency", largest.sub.Concurrency,
		"max_message_bytes", largest.route.settings.maxMessageBytes, "growth", decodedGrowth,
		"remedy", "lower concurrency or max_message_bytes, or raise GOMEMLIMIT")
}

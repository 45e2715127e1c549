package amqptransport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	// levels is how many queues the ladder has; the one of level n keeps a message for 2^n seconds.
	levels = 20
	// longestDelay is the sum of all of them, a little over 12 days.
	longestDelay = (1<<levels - 1) * time.Second
)

// target is where a delayed message goes when its time has come: "queue:<queue>" for one queue, "topic:<topic>" for
// every group of a topic. It travels in [transport.MetaDelayTarget].
type target string

func queueTarget(queue string) target { return target("queue:" + queue) }

func topicTarget(topic string) target { return target("topic:" + topic) }

// queue is the name of a queue target, or empty.
func (g target) queue() string {
	name, is := strings.CutPrefix(string(g), "queue:")
	if !is {
		return ""
	}
	return name
}

// word stands for the target at the end of a routing key. A name does not fit there: it may have 249 bytes, a routing
// key has 255 at most, and the dots of a name would be read as the ends of words.
func (g target) word() string {
	sum := sha256.Sum256([]byte(g))
	return hex.EncodeToString(sum[:16])
}

// binding is the pattern of the target's binding to the exchange at the foot of the ladder.
func (g target) binding() string { return "#." + g.word() }

// climb says where a message enters the ladder, at its highest level that has to hold it, and with what routing key:
// one word for each level from the lowest up to there, 1 to wait in its queue and 0 to pass it by, then the target's.
// A delay is rounded up to whole seconds.
func climb(delay time.Duration, to target) (exchange, key string, err error) {
	if delay > longestDelay {
		return "", "", fmt.Errorf("%w: a delay of %s is over the %s that amqp can wait", transport.ErrTooLarge, delay, longestDelay)
	}
	seconds := uint32((delay + time.Second - 1) / time.Second)
	var b strings.Builder
	for rest := seconds; rest > 0; rest >>= 1 {
		b.WriteString(strconv.Itoa(int(rest & 1)))
		b.WriteByte('.')
	}
	b.WriteString(to.word())
	return levelName(bits.Len32(seconds) - 1), b.String(), nil
}

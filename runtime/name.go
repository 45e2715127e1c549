package async

import (
	"fmt"
	"strings"

	"github.com/asyncpb/async/runtime/internal/config"
	"github.com/asyncpb/async/runtime/transport"
)

// The longest names, in bytes. The namespace, the topic, the group and what separates them share a physical name.
const (
	maxTopicBytes = 128
	maxGroupBytes = 80
)

// checkName holds the grammar of names, so that every transport can call a queue by one, and no broker takes a part of it for
// something else: a wildcard, the end of a line, another folder.
func checkName(what, name string, most int) error {
	if len(name) > most {
		return fmt.Errorf("%w: the %s %.40s… has %d bytes, the limit is %d; shorten it", ErrTooLarge, what, sanitize(name), len(name), most)
	}
	if !config.Portable(name) {
		return fmt.Errorf(`%s %q: use letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`, what, sanitize(name))
	}
	return nil
}

func checkTopic(name string) error { return checkName("topic", name, maxTopicBytes) }

func checkGroup(name string) error { return checkName("group", name, maxGroupBytes) }

// ladderPrefix is what the names of RabbitMQ's queues of delayed messages begin with.
const ladderPrefix = "async.delay."

// replyAddress is where the reply to a request goes, empty for nowhere. It is what a stranger wrote: one that names the queue
// of a group, or one that delays messages, would make of everybody who answers a sender of messages to that queue.
func replyAddress(metadata map[string]string) string {
	address := metadata[transport.MetaReplyTo]
	if strings.HasPrefix(address, "amq.") { // a name of the broker's own making
		return address
	}
	if strings.Contains(address, "--") || strings.HasPrefix(address, ladderPrefix) {
		return ""
	}
	return address
}

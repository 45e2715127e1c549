package contract

import (
	"strings"
)

// The longest names, in bytes. Topic, group and the suffixes of queues fit in one physical name together.
const (
	maxTopicBytes  = 128
	maxGroupBytes  = 80
	maxTypeBytes   = 255
	maxHeaderBytes = 128
)

// flaw says why a topic or group is not portable to every broker; "" if it is. "--" separates topic and group in the
// names of queues, so it is kept out of both, and so is a "-" that could join one at an end.
func flaw(name string, maxBytes int) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxBytes:
		return "is too long"
	case !only(name, lower+upper+digits+"._-"):
		return "is not portable"
	case strings.Contains(name, "--"):
		return `holds "--", which separates topic and group in the names of queues`
	case strings.HasPrefix(name, "-"), strings.HasSuffix(name, "-"):
		return `begins or ends with "-", which separates topic and group in the names of queues`
	case strings.Contains(name, ".."), strings.HasPrefix(name, "."), strings.HasSuffix(name, "."):
		return `has an empty word beside a "."`
	default:
		return ""
	}
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

func only(s, alphabet string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }) < 0
}

// checkName refuses a topic or group that is not portable.
func checkName(what, name string, maxBytes int, at Position, found *Findings) {
	if why := flaw(name, maxBytes); why != "" {
		found.refuse(at, `%s %q %s; write at most %d bytes of letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
			what, name, why, maxBytes)
	}
}

// checkType refuses a CloudEvents type that brokers cannot route by.
func checkType(what, name string, at Position, found *Findings) {
	printable := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
	if name == "" || len(name) > maxTypeBytes || !printable {
		found.refuse(at, "%s %q is no CloudEvents type; write 1 to %d bytes of printable ASCII without spaces", what, name, maxTypeBytes)
	}
}

// reservedHeader returns the reserved name or prefix that a header takes; "" if it takes none.
func reservedHeader(name string) string {
	for _, prefix := range []string{"ce-", "async-", "x-death", "x-first-death", "_watermill"} {
		if strings.HasPrefix(name, prefix) {
			return prefix
		}
	}
	for _, whole := range []string{"traceparent", "tracestate", "baggage"} {
		if name == whole {
			return whole
		}
	}
	return ""
}

// joinTopic returns the logical topic that an annotation means: a leading "/" makes it absolute.
func joinTopic(prefix, topic string) string {
	if absolute, ok := strings.CutPrefix(topic, "/"); ok {
		return absolute
	}
	return prefix + "." + topic
}

package async

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// Headers are a message's user headers. Names are lower case: letters, digits, '.', '_' and '-', at most 128 bytes.
// Values are text of at most 4 KiB without control characters. All headers of a message take at most 64 names and 32 KiB.
// The names traceparent, tracestate and baggage and those that begin with ce-, async-, x-death, x-first-death or
// _watermill are reserved. Headers are not safe for concurrent change.
type Headers map[string][]string

// First returns the first value of name, or "".
func (h Headers) First(name string) string {
	if v := h[strings.ToLower(name)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Add appends a value to name.
func (h Headers) Add(name, value string) {
	name = strings.ToLower(name)
	h[name] = append(h[name], value)
}

const (
	maxHeaders      = 64
	maxHeaderName   = 128
	maxHeaderValue  = 4 << 10
	maxHeadersBytes = 32 << 10
	maxKeyBytes     = 256
	maxIDBytes      = 64
)

var reservedPrefixes = []string{"ce-", "async-", "x-death", "x-first-death", "_watermill"}

func reserved(name string) bool {
	if name == "" {
		return false
	}
	// Every received message asks this of every name: the first byte settles most of them.
	switch name[0] {
	case 'c':
		return strings.HasPrefix(name, "ce-")
	case 'a':
		return strings.HasPrefix(name, transport.PrefixAsync)
	case 'x', '_':
		return slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	case 't', 'b':
		return name == transport.MetaTraceparent || name == transport.MetaTracestate || name == transport.MetaBaggage
	default:
		return false
	}
}

// ReservedHeader reports whether no user header may have this name; see [Headers].
func ReservedHeader(name string) bool { return reserved(strings.ToLower(name)) }

func checkHeaderName(name string) error {
	switch {
	case len(name) > maxHeaderName:
		return fmt.Errorf("%w: the header name %.40s… has %d bytes, the limit is %d", ErrTooLarge, sanitize(name), len(name), maxHeaderName)
	case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "":
		return fmt.Errorf("%w: header name %q: use lower case letters, digits, '.', '_' and '-', at most %d bytes", ErrInvalid, sanitize(name), maxHeaderName)
	case reserved(name):
		return fmt.Errorf("%w: header name %q is reserved: choose one that does not begin with %s and is no trace header", ErrInvalid, name, strings.Join(reservedPrefixes, ", "))
	default:
		return nil
	}
}

func checkHeaderValue(name, value string) error {
	if len(value) > maxHeaderValue {
		return fmt.Errorf("%w: header %s has %d bytes, the limit is %d", ErrTooLarge, name, len(value), maxHeaderValue)
	}
	if i := controlAt(value); i >= 0 {
		return fmt.Errorf("%w: header %s: its value has a control character at byte %d; encode it, for example as base64", ErrInvalid, name, i)
	}
	return nil
}

// checkKey holds the limits of a key.
func checkKey(key string) error {
	if len(key) > maxKeyBytes {
		return fmt.Errorf("%w: the key has %d bytes, the limit is %d", ErrTooLarge, len(key), maxKeyBytes)
	}
	if i := controlAt(key); i >= 0 {
		return fmt.Errorf("%w: the key has a control character at byte %d; encode it, for example as base64", ErrInvalid, i)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: the key is not UTF-8; encode it, for example as base64", ErrInvalid)
	}
	return nil
}

// controlAt is the place of the first control character, -1 if there is none. A tab counts as text.
func controlAt(text string) int {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

// write puts the headers into metadata under prefix, several values of one name as a JSON array.
func (h Headers) write(md message.Metadata, prefix string) error {
	if len(h) > maxHeaders {
		return fmt.Errorf("%w: %d header names, the limit is %d", ErrTooLarge, len(h), maxHeaders)
	}
	total := 0
	for name, values := range h {
		if err := checkHeaderName(name); err != nil {
			return err
		}
		for _, v := range values {
			if err := checkHeaderValue(name, v); err != nil {
				return err
			}
			total += len(name) + len(v)
		}
		switch len(values) {
		case 0:
		case 1:
			md[prefix+name] = values[0]
		default:
			// JSON would replace bytes that are no UTF-8, and the receiver would get another value than was sent.
			if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
				return fmt.Errorf("%w: header %s has several values, and one is not UTF-8; write it as base64", ErrInvalid, name)
			}
			text, err := json.Marshal(values)
			if err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
			md[multiName(prefix, name)] = string(text)
		}
	}
	if total > maxHeadersBytes {
		return fmt.Errorf("%w: the headers take %d bytes, the limit is %d", ErrTooLarge, total, maxHeadersBytes)
	}
	return nil
}

// multiName is where several values of a header travel: async-mv-<name>, for a reply async-mv-async-h-<name>.
func multiName(prefix, name string) string { return transport.PrefixMultiValue + prefix + name }

// readHeaders takes the headers under prefix out of metadata; an empty prefix takes the user's own.
func readHeaders(md message.Metadata, prefix string) Headers {
	var h Headers
	for name, value := range md {
		h = h.read(name, value, prefix)
	}
	return h
}

// read adds an entry of metadata, if it is a header under prefix, to h, which may be nil.
func (h Headers) read(name, value, prefix string) Headers {
	rest, multi := strings.CutPrefix(name, transport.PrefixMultiValue)
	plain, match := strings.CutPrefix(rest, prefix)
	if !match || reserved(plain) {
		return h
	}
	values := []string{value}
	if multi && json.Unmarshal([]byte(value), &values) != nil {
		return h
	}
	if h == nil {
		h = make(Headers)
	}
	h[plain] = append(h[plain], values...)
	return h
}

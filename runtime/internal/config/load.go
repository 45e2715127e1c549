package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest file that [Load] reads.
const MaxBytes = 1 << 20

// Load reads the file data. name is what problems call the file; env looks up environment variables, as os.LookupEnv
// does.
//
// The error is nil or an [*Error] with everything that is wrong. The Config is never nil: beside an error it holds what
// could be read, for the caller's own checks, whose findings can be listed with those of the error.
func Load(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	r := &reader{file: name, env: env, positions: make(map[string]Position)}
	c := &Config{file: name, positions: r.positions, places: make(map[string]int)}
	if root := r.document(data); root != nil && r.version(root) {
		r.config(root, c)
	}
	return c, r.Err()
}

// document parses the YAML and returns its root.
func (r *reader) document(data []byte) *yaml.Node {
	start := Position{File: r.file, Line: 1, Column: 1}
	if len(data) > MaxBytes {
		r.Add(start, "the file is larger than 1 MiB", "a configuration is a few kilobytes; is this the right file?")
		return nil
	}
	if pos, valid := r.utf8(data); !valid {
		r.Add(pos, "the text is not UTF-8", "save the file as UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		r.Add(start, "the file is empty", "start it with version: 1")
		return nil
	case err != nil:
		r.syntax(err, data)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		r.add(&second, "a second document starts here", "write one document a file")
	case !errors.Is(err, io.EOF):
		r.syntax(err, data)
		return nil
	}
	return document.Content[0]
}

func (r *reader) utf8(data []byte) (Position, bool) {
	if utf8.Valid(data) {
		return Position{}, true
	}
	line := 1
	for text := range bytes.Lines(data) {
		for column := 1; len(text) > 0; column++ {
			c, width := utf8.DecodeRune(text)
			if c == utf8.RuneError && width == 1 {
				return Position{File: r.file, Line: line, Column: column}, false
			}
			text = text[width:]
		}
		line++
	}
	return Position{}, true
}

// countedFromZero is how the errors of the YAML library start whose line counts from 0: those of its parser. Those of its
// scanner count from 1.
var countedFromZero = []string{
	"did not find expected <",
	"did not find expected node content",
	"did not find expected key",
	"did not find expected '-' indicator",
	"did not find expected ','",
	"found undefined tag handle",
	"found duplicate %",
}

// syntax reports an error of the YAML parser without what it quotes of the file.
func (r *reader) syntax(err error, data []byte) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	pos := Position{File: r.file, Line: 1, Column: 1}
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		number, text, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			pos.Line, what = line, text
			if slices.ContainsFunc(countedFromZero, func(start string) bool { return strings.HasPrefix(text, start) }) {
				pos.Line++
			}
		}
	}
	// An unknown anchor is the one error that quotes the file, and it might be a password that starts with "*".
	if strings.HasPrefix(what, "unknown anchor") {
		what = "unknown anchor"
	}
	instead := "mind the indentation, and put text with special characters in quotes"
	if bytes.Contains(data, []byte("${")) {
		instead = "mind the indentation, and put ${…} within { } or [ ] in quotes"
	}
	r.Add(pos, "this is not YAML: "+what, instead)
}

// version reports whether the file is of a version whose keys are known here.
func (r *reader) version(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		r.add(root, "the file is "+kindOf(root), "start it with version: 1")
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "version" {
			continue
		}
		node := root.Content[i+1]
		if node.Kind != yaml.ScalarNode || node.Value != "1" || node.Tag != "!!int" {
			r.add(node, "this version of the file is not known", "write version: 1")
			return false
		}
		return true
	}
	r.add(root, "version is missing", "write version: 1")
	return true
}

const (
	maxConcurrency = 65535
	maxGroupBytes  = 80
	maxTopicBytes  = 128
)

// config reads the root.
func (r *reader) config(root *yaml.Node, c *Config) {
	var carrier string
	r.object(root, nil, []field{
		{"version", func(*yaml.Node, []string) {}},
		value(r, "app", word, name(maxGroupBytes), func(v string) { c.App = v }),
		value(r, "namespace", word, name(maxTopicBytes), func(v string) { c.Namespace = v }),
		r.address("transport", func(v string) { carrier = v }),
		value(r, "require", word, oneOf("durable"), func(v string) { c.Require = v }),
		value(r, "telemetry", word, oneOf("otel"), func(v string) { c.Telemetry = v }),
		{"transports", func(node *yaml.Node, place []string) { r.transports(node, place, c) }},
		{"defaults", func(node *yaml.Node, place []string) { r.defaults(node, place, &c.Defaults) }},
		{"bindings", func(node *yaml.Node, place []string) { r.bindings(node, place, c) }},
		{"shutdown", func(node *yaml.Node, place []string) {
			r.object(node, place, []field{optional(r, "drain_timeout", either, duration, &c.DrainTimeout)}, nil)
		}},
	}, nil)
	r.carrier(carrier, c)
	r.references(c)
}

func (r *reader) defaults(node *yaml.Node, place []string, s *Settings) {
	r.object(node, place, r.settings(s), func(key string) (what, instead string) {
		if key == "transport" {
			return "defaults have no transport", "write transport at the top of the file"
		}
		return contractKey(key)
	})
	r.backoff(s.Retry, append(slices.Clone(place), "retry"))
}

// settings are the keys that defaults and bindings share.
func (r *reader) settings(s *Settings) []field {
	return []field{
		optional(r, "concurrency", literal, integer[int](1, maxConcurrency), &s.Concurrency),
		optional(r, "timeout", either, positiveDuration, &s.Timeout),
		optional(r, "codec", word, oneOf("protobuf", "protojson"), &s.Codec),
		optional(r, "max_message_bytes", either, size, &s.MaxMessageBytes),
		optional(r, "compress_above", either, sizeOrZero, &s.CompressAbove),
		optional(r, "send_timeout", either, positiveDuration, &s.SendTimeout),
		optional(r, "ttl", either, duration, &s.TTL),
		{"retry", func(node *yaml.Node, place []string) {
			r.object(node, place, []field{
				optional(r, "immediate", literal, integer[uint32](0, math.MaxUint32), &s.Retry.Immediate),
				optional(r, "max_attempts", literal, integer[uint32](1, math.MaxUint32), &s.Retry.MaxAttempts),
				optional(r, "min_backoff", either, duration, &s.Retry.MinBackoff),
				optional(r, "max_backoff", either, duration, &s.Retry.MaxBackoff),
				optional(r, "multiplier", literal, number(1, math.Inf(1)), &s.Retry.Multiplier),
				optional(r, "jitter", literal, number(0, 1), &s.Retry.Jitter),
			}, nil)
		}},
		{"dead_letter", func(node *yaml.Node, place []string) {
			r.object(node, place, []field{
				optional(r, "disabled", literal, boolean, &s.DeadLetter.Disabled),
				optional(r, "topic", word, name(maxTopicBytes), &s.DeadLetter.Topic),
			}, nil)
		}},
	}
}

// backoff refuses a pair that is the wrong way round within one mapping.
func (r *reader) backoff(retry Retry, place []string) {
	if retry.inverted() {
		r.Add(r.positions[pathKey(append(slices.Clone(place), "max_backoff"))], inverted(retry), "swap them, or raise max_backoff")
	}
}

func inverted(retry Retry) string {
	return fmt.Sprintf("max_backoff %s is below min_backoff %s", shorten(*retry.MaxBackoff), shorten(*retry.MinBackoff))
}

// shorten leaves off the zeros that time.Duration prints: 5m0s becomes 5m.
func shorten(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

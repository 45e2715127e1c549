package config

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader walks the nodes of a file and collects problems. A place is the path of keys that leads to a value.
type reader struct {
	Report
	file      string
	env       func(string) (string, bool)
	positions map[string]Position
}

// field is one key that a mapping may have.
type field struct {
	key  string
	read func(node *yaml.Node, place []string)
}

func (r *reader) position(node *yaml.Node) Position {
	return Position{File: r.file, Line: max(node.Line, 1), Column: max(node.Column, 1)}
}

func (r *reader) add(node *yaml.Node, what, instead string) { r.Add(r.position(node), what, instead) }

// plain refuses what makes a file harder to read than it has to be, and what a few bytes of it can blow up.
func (r *reader) plain(node *yaml.Node) bool {
	switch {
	case node.Kind == yaml.AliasNode:
		r.add(node, "aliases are not supported", "write the value out")
	case node.Anchor != "":
		r.add(node, "anchors are not supported", "write the value out where it is needed")
	case node.Style&yaml.TaggedStyle != 0:
		r.add(node, "tags are not supported", "write the value without its tag")
	default:
		return true
	}
	return false
}

// entries calls read for every key of a mapping, once for each key.
func (r *reader) entries(node *yaml.Node, place []string, read func(key, value *yaml.Node, place []string)) {
	if !r.plain(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		r.add(node, label(place)+" is "+kindOf(node), "write keys with values")
		return
	}
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if !r.plain(key) {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.add(key, "a key of "+label(place)+" is "+kindOf(key), "write a word")
			continue
		}
		if line, twice := seen[key.Value]; twice {
			r.add(key, "the key"+quoted(key.Value)+" stands here a second time, after line "+strconv.Itoa(line), "keep one of them")
			continue
		}
		seen[key.Value] = key.Line
		inner := append(slices.Clone(place), key.Value)
		r.positions[pathKey(inner)] = r.position(value)
		read(key, value, inner)
	}
}

// object reads a mapping whose keys are known. refused says why a key that is not among them is none, if there is more
// to say than that; it may be nil.
func (r *reader) object(node *yaml.Node, place []string, fields []field, refused func(key string) (what, instead string)) {
	r.entries(node, place, func(key, value *yaml.Node, inner []string) {
		known := make([]string, len(fields))
		for i, f := range fields {
			if f.key == key.Value {
				f.read(value, inner)
				return
			}
			known[i] = f.key
		}
		if refused != nil {
			if what, instead := refused(key.Value); what != "" {
				r.add(key, what, instead)
				return
			}
		}
		r.add(key, "unknown key"+quoted(key.Value)+" in "+label(place), suggest(key.Value, known))
	})
}

// shape is how a value may be written.
type shape uint8

const (
	// literal is a number or a boolean, without quotes.
	literal shape = iota
	// word is a string.
	word
	// either is a number or a string: 1048576 or 1MiB.
	either
)

// text returns a scalar with its variables replaced.
func (r *reader) text(node *yaml.Node, place []string, s shape) (text string, ok bool) {
	if !r.plain(node) {
		return "", false
	}
	if node.Kind != yaml.ScalarNode {
		r.add(node, label(place)+" is "+kindOf(node), "write a single value")
		return "", false
	}
	if node.Tag == "!!null" {
		r.add(node, label(place)+" has no value", "write one, or remove the key")
		return "", false
	}
	variable := strings.Contains(node.Value, "${")
	isString := node.Tag == "!!str" || node.Tag == "!!timestamp"
	switch {
	case variable:
	case s == word && !isString:
		r.add(node, label(place)+" is "+kindOf(node), "write a string; quotes make it one")
		return "", false
	case s == literal && node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		r.add(node, label(place)+" is a string", "write the value without quotes")
		return "", false
	}
	text, what, instead := interpolate(node.Value, r.env)
	if what != "" {
		r.add(node, label(place)+": "+what, instead)
		return "", false
	}
	return text, true
}

// value gives a field that reads one scalar and keeps it.
func value[T any](r *reader, key string, s shape, parse parser[T], keep func(T)) field {
	return field{key, func(node *yaml.Node, place []string) {
		text, ok := r.text(node, place, s)
		if !ok {
			return
		}
		v, what, instead := parse(text)
		if what != "" {
			shown := quoted(node.Value)
			if strings.Contains(node.Value, "${") {
				shown = ", with its variables replaced,"
			}
			r.add(node, label(place)+shown+" "+what, instead)
			return
		}
		keep(v)
	}}
}

// optional is value for a field whose presence matters.
func optional[T any](r *reader, key string, s shape, parse parser[T], into **T) field {
	return value(r, key, s, parse, func(v T) { *into = &v })
}

// label names a place in a problem.
func label(place []string) string {
	if len(place) == 0 {
		return "the file"
	}
	last := quoted(place[len(place)-1])
	if len(place) == 2 {
		switch place[0] {
		case "transports":
			return "transport" + last
		case "bindings":
			return "binding" + last
		}
	}
	if last == "" {
		return "the value"
	}
	return place[len(place)-1]
}

// quoted returns a word of the file in quotes after a space, or nothing where it might hold a secret: a URL, an
// address, the default of a variable, a long or unprintable text.
func quoted(word string) string {
	const longest = 60
	if len(word) > longest || strings.Contains(word, "${") || strings.ContainsAny(word, "@\"") || strings.Contains(word, "://") {
		return ""
	}
	for _, c := range word {
		if c < ' ' || c == 0x7f || c > 0x7e {
			return ""
		}
	}
	return ` "` + word + `"`
}

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode, yaml.DocumentNode:
	}
	switch node.Tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	default:
		return "a string"
	}
}

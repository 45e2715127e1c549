package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// contract says where in the .proto a key of the contract belongs.
var contract = map[string]string{
	"kind":          "(async.v1.method)",
	"event":         "(async.v1.method).event",
	"command":       "(async.v1.method).command",
	"request":       "(async.v1.method).request",
	"type":          "(async.v1.method).event.type",
	"type_aliases":  "(async.v1.method).event.type_aliases",
	"topic":         "(async.v1.method).topic",
	"aliases":       "(async.v1.method).aliases",
	"group_aliases": "(async.v1.method).group_aliases",
	"topic_prefix":  "(async.v1.service).topic_prefix",
	"group":         "(async.v1.service).group",
	"ordering":      "policy.ordering",
	"trace":         "policy.trace",
	"key":           "(async.v1.field).key",
	"message_id":    "(async.v1.field).message_id",
	"header":        "(async.v1.field).header",
	"sensitive":     "(async.v1.field).sensitive",
}

func contractKey(key string) (what, instead string) {
	option, ok := contract[key]
	if !ok {
		return "", ""
	}
	return key + " is contract and cannot be configured", "write it in the .proto, as " + option
}

func (r *reader) bindings(node *yaml.Node, place []string, c *Config) {
	r.entries(node, place, func(key, node *yaml.Node, place []string) {
		b := Binding{Name: key.Value, Pos: r.position(key)}
		if !validBinding(b.Name) {
			r.add(key, "this does not name a service or an rpc", "write <package>.<Service> or <package>.<Service>/<Rpc>")
			return
		}
		fields := append(r.settings(&b.Settings), optional(r, "transport", word, filled, &b.Transport))
		r.object(node, place, fields, contractKey)
		r.backoff(b.Retry, append(slices.Clone(place), "retry"))
		c.places[b.Name] = len(c.Bindings)
		c.Bindings = append(c.Bindings, b)
	})
}

// references checks what bindings say together with the rest of the file.
func (r *reader) references(c *Config) {
	for _, b := range c.Bindings {
		if t := b.Transport; t != nil && *t != HTTP && c.Transports[*t] == nil {
			what, instead := unknownTransport(*t, c.Transports)
			r.Add(c.Position("bindings", b.Name, "transport"), what, instead)
		}
		service, rpc := b.Service()
		if merged := c.Find(service, rpc).Retry; rpc != "" && merged.inverted() && !b.Retry.inverted() {
			if c.settings(service).Retry.inverted() {
				continue
			}
			r.Add(c.Position("bindings", b.Name, "retry"), "together with the binding of its service, "+inverted(merged), "give both here")
		}
	}
}

// unknownTransport does not quote the name: it may come from the environment.
func unknownTransport(name string, known map[string]*Transport) (what, instead string) {
	switch {
	case strings.Contains(name, "://"):
		return "this is a URL", "give it a name under transports, and write the name here"
	case len(known) == 0:
		return "no transport has this name", `there are none under transports; write "<scheme>://<address>" at the top of the file`
	case len(known) > mostSuggested:
		return "no transport has this name", fmt.Sprintf("write that of one of the %d under transports", len(known))
	}
	return "no transport has this name", suggest(name, slices.Collect(maps.Keys(known)))
}

// validBinding takes <package>.<Service>, with an optional /<Rpc>.
func validBinding(name string) bool {
	service, rpc, hasRPC := strings.Cut(name, "/")
	if hasRPC && !identifier(rpc) {
		return false
	}
	for part := range strings.SplitSeq(service, ".") {
		if !identifier(part) {
			return false
		}
	}
	return true
}

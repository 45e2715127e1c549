package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/contract"
)

// TestNamesThatInjectAreRefusedAtGeneration puts what some broker, file system, shell or log takes for more than text into
// every name that a contract can have.
func TestNamesThatInjectAreRefusedAtGeneration(t *testing.T) {
	t.Parallel()
	const empty = "google.protobuf.Empty"
	places := map[string]func(name string) string{
		"topic":             func(n string) string { return service("", "Plain", empty, "{topic: "+n+"}") },
		"topic_prefix":      func(n string) string { return service("{topic_prefix: "+n+"}", "Plain", empty, `{topic: "/done"}`) },
		"alias":             func(n string) string { return service("", "Plain", empty, "{aliases: "+n+"}") },
		"group":             func(n string) string { return service("{group: "+n+"}", "Plain", empty, "{}") },
		"group alias":       func(n string) string { return service("", "Plain", empty, "{group_aliases: "+n+"}") },
		"dead-letter topic": func(n string) string { return service("", "Plain", empty, "{policy: {dead_letter: {topic: "+n+"}}}") },
		"header": func(n string) string {
			return service("", "Input", empty, "{}") + "message Input { string a = 1 [(async.v1.field).header = " + n + "]; }"
		},
	}
	for _, name := range []string{
		"a\r\nPUB evil 0", "PUB evil\r\n", "*", "a.*", ">", "a.>", "#", "a.#", "../../etc", "a/../b", strings.Repeat("a", 300), "'; DROP TABLE x; --", `"`, "`",
		"a\x00b", "\u0430cme", "\uff41", "a\u202eb", "a\u2028b", "\ufeffa", "a b", "a\tb", "${HOME}", "%00", "a\\b", "a;b", "a=b", "\x1b[31m", "a--b",
	} {
		for place, source := range places {
			var escaped strings.Builder
			for _, b := range []byte(name) {
				fmt.Fprintf(&escaped, `\x%02x`, b)
			}
			if place == "header" && name == "a--b" {
				continue // which is a header's good right
			}
			_, found := contract.Methods(compile(t, source(`"`+escaped.String()+`"`)))
			if found.Err() == nil {
				t.Errorf("%s %q is not refused", place, name)
			}
		}
	}
	for _, name := range []string{"..", "a..b", ".a", "-a", "a-"} {
		if _, found := contract.Methods(compile(t, places["group"](`"`+name+`"`))); found.Err() == nil {
			t.Errorf("group %q is not refused", name)
		}
		if _, found := contract.Methods(compile(t, places["dead-letter topic"](`"`+name+`"`))); found.Err() == nil {
			t.Errorf("dead-letter topic %q is not refused", name)
		}
	}
}

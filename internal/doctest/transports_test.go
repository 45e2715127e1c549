package doctest_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
	"github.com/asyncpb/async/runtime/transport/gochanneltransport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

var update = flag.Bool("update", false, "write the table of transports into docs/transports.md")

func TestTheTableOfTransportsIsWhatTheDriversSay(t *testing.T) {
	t.Parallel()
	const (
		page  = root + "/docs/transports.md"
		start = "<!-- table: go test ./internal/doctest -run Transports -update -->\n"
		end   = "<!-- end of table -->\n"
	)
	text := read(t, page)
	before, rest, hasStart := strings.Cut(text, start)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasStart || !hasEnd {
		t.Fatalf("%s: the marks around the table are missing: %s%s", page, start, end)
	}
	want := before + start + "\n" + table() + "\n" + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("docs/transports.md is out of date; run go test ./internal/doctest -run Transports -update (-want +got):\n%s", diff)
	}
}

// table asks drivers that are not opened: what a driver can do is constant.
func table() string {
	drivers := []struct {
		scheme       string
		capabilities transport.Capabilities
	}{
		{"memory", new(memorytransport.Transport).Capabilities()},
		{"gochannel", new(gochanneltransport.Transport).Capabilities()},
		{"amqp", new(amqptransport.Transport).Capabilities()},
	}
	var b strings.Builder
	b.WriteString("| ability |")
	for _, d := range drivers {
		fmt.Fprintf(&b, " `%s` |", d.scheme)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(drivers)) + "\n")
	for i, feature := range drivers[0].capabilities.Features() {
		fmt.Fprintf(&b, "| %s |", feature.Name)
		for _, d := range drivers {
			fmt.Fprintf(&b, " %s |", d.capabilities.Features()[i].Ability)
		}
		b.WriteString("\n")
	}
	return b.String()
}

package contract

import (
	"regexp"
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/hangtest"
)

// portable is the grammar of topics and groups, said once more in another way.
var portable = regexp.MustCompile(`^[A-Za-z0-9_]+(([.]|-|([.]-)+[.]?|(-[.])+-?)[A-Za-z0-9_]+)*$`)

// FuzzName proves that no name gets through that a broker could take for something else, and none is refused that is
// portable.
func FuzzName(f *testing.F) {
	for _, seed := range []string{
		"", "acme.orders.v1.Orders.Ship", "a-b", "-a", "a-", "a--b", "a..b", ".a", "a.", "a.-b", "a-.-b", "a b", "a/b", "*", ">", "#", "a\r\nPUB evil 0", "'; drop table", "..",
		"ä", "a\x00", strings.Repeat("a", maxTopicBytes), strings.Repeat("a", maxTopicBytes+1), "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		defer hangtest.Watch()()
		want := len(name) <= maxTopicBytes && portable.MatchString(name)
		if why := flaw(name, maxTopicBytes); (why == "") != want {
			t.Errorf("%q: got %q, and the grammar says %t", name, why, want)
		}
	})
}

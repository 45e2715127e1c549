package async_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	async "github.com/asyncpb/async/runtime"
)

// begin expects a state of a key, with a lease of one minute.
func begin(t *testing.T, s async.DedupStore, key string, want async.DedupState) {
	t.Helper()
	got, err := s.Begin(t.Context(), key, time.Minute)
	if err != nil || got != want {
		t.Errorf("Begin(%s) is %d, %v; want %d", key, got, err, want)
	}
}

func end(t *testing.T, s async.DedupStore, key string, ok bool) {
	t.Helper()
	must(t, s.End(t.Context(), key, ok, time.Hour))
}

func TestMemoryDedupStore(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(t *testing.T, s *async.MemoryDedupStore){
		"a key is done for its window and fresh after it": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "a", async.DedupFresh)
			begin(t, s, "a", async.DedupBusy)
			end(t, s, "a", true)
			time.Sleep(time.Hour - 1) //nolint:forbidigo // of synctest's clock
			begin(t, s, "a", async.DedupDone)
			time.Sleep(1) //nolint:forbidigo // of synctest's clock
			begin(t, s, "a", async.DedupFresh)
		},
		"a failure frees the key": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "a", async.DedupFresh)
			end(t, s, "a", false)
			begin(t, s, "a", async.DedupFresh)
		},
		"a lease ends by itself": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "a", async.DedupFresh)
			time.Sleep(time.Minute - 1) //nolint:forbidigo // of synctest's clock
			begin(t, s, "a", async.DedupBusy)
			time.Sleep(1) //nolint:forbidigo // of synctest's clock
			begin(t, s, "a", async.DedupFresh)
		},
		"a full store forgets what was done first and keeps its leases": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "lease", async.DedupFresh)
			for i := range 3 {
				key := fmt.Sprint(i)
				begin(t, s, key, async.DedupFresh)
				end(t, s, key, true)
			}
			begin(t, s, "lease", async.DedupBusy)
			begin(t, s, "1", async.DedupDone)
			begin(t, s, "2", async.DedupDone)
			begin(t, s, "0", async.DedupFresh)
			if s.Len() != 3 {
				t.Errorf("it holds %d keys, want 3", s.Len())
			}
		},
		"a store full of leases lets others wait": func(t *testing.T, s *async.MemoryDedupStore) {
			for _, key := range []string{"a", "b", "c"} {
				begin(t, s, key, async.DedupFresh)
			}
			begin(t, s, "d", async.DedupBusy)
			end(t, s, "a", false)
			begin(t, s, "d", async.DedupFresh)
			begin(t, s, "b", async.DedupBusy)
			time.Sleep(time.Minute) //nolint:forbidigo // of synctest's clock
			begin(t, s, "e", async.DedupFresh)
		},
		"what is done for longer than its window makes room before others do": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "old", async.DedupFresh)
			end(t, s, "old", true)
			time.Sleep(time.Hour) //nolint:forbidigo // of synctest's clock
			for _, key := range []string{"a", "b", "c"} {
				begin(t, s, key, async.DedupFresh)
				end(t, s, key, true)
			}
			begin(t, s, "a", async.DedupDone)
			begin(t, s, "old", async.DedupFresh)
		},
		"an end that comes after the end of its lease still counts": func(t *testing.T, s *async.MemoryDedupStore) {
			begin(t, s, "a", async.DedupFresh)
			time.Sleep(2 * time.Minute) //nolint:forbidigo // of synctest's clock
			end(t, s, "a", true)
			begin(t, s, "a", async.DedupDone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, err := async.NewMemoryDedupStore(3)
				must(t, err)
				f(t, store)
			})
		})
	}
	if _, err := async.NewMemoryDedupStore(0); err == nil {
		t.Error("a store of no size is made")
	}
}

package load_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/benchmarks/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestASourceGivesEachNumberOnce(t *testing.T) {
	t.Parallel()
	const n = 1000
	source, tally := load.NewSource(0, n), load.NewTally(n)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for number, intended, ok := source.Next(); ok; number, intended, ok = source.Next() {
				tally.Mark(number, intended)
			}
		})
	}
	callers.Wait()
	if expected, delivered, distinct := tally.Counts(); delivered != expected || distinct != expected {
		t.Errorf("of %d numbers %d came, %d of them different ones", expected, delivered, distinct)
	}
}

func TestAPacedSourceKeepsToItsTimesHoweverLateItIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate = 1000
		source := load.NewPacedSource(0, 4, rate)
		begin := time.Now()
		for i := range 4 {
			if i == 2 {
				time.Sleep(10 * time.Millisecond) // the caller is busy, and what is due meanwhile comes at once
			}
			_, intended, ok := source.Next()
			if want := begin.Add(time.Duration(i) * time.Second / rate); !ok || intended != want.UnixNano() {
				t.Errorf("number %d was intended at %v, want %v", i, time.Unix(0, intended).Sub(begin), want.Sub(begin))
			}
		}
		if _, _, ok := source.Next(); ok {
			t.Error("the source does not end")
		}
	})
}

func TestATallyTellsWhatIsMissingDoubledOrForeign(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                string
		marks               []int
		delivered, distinct int
	}{
		{"everything arrived", []int{0, 1, 2}, 3, 3},
		{"one is missing", []int{0, 2}, 2, 2},
		{"one came twice", []int{0, 1, 1, 2}, 4, 3},
		{"one is of another run", []int{0, 1, 2, 3}, 4, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tally := load.NewTally(3)
			for _, number := range test.marks {
				tally.Mark(number, 1)
			}
			if _, delivered, distinct := tally.Counts(); delivered != test.delivered || distinct != test.distinct {
				t.Errorf("%d delivered, %d distinct; want %d and %d", delivered, distinct, test.delivered, test.distinct)
			}
		})
	}
}

func TestLatenciesCountFromTheIntendedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tally := load.NewTally(100)
		tally.KeepLatencies()
		sent := time.Now()
		for i := range 100 {
			time.Sleep(time.Millisecond)
			tally.Mark(i, sent.UnixNano())
		}
		p := tally.Percentiles(0.5, 0.99, 0.999)
		if p[0] != 51*time.Millisecond || p[1] != 100*time.Millisecond || p[2] != 100*time.Millisecond {
			t.Errorf("percentiles are %v", p)
		}
	})
}

func TestPayloadsHaveTheSizeThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, size := range []int{64, 1024} {
		if got := proto.Size(load.NewSample(7, 1, load.Body(size))); got != size {
			t.Errorf("a sample of %d bytes has %d", size, got)
		}
		if got := len(load.Payload(size, 7, 1)); got != size {
			t.Errorf("a payload of %d bytes has %d", size, got)
		}
	}
}

func TestNumbersSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, number := range []int{0, 1, 1 << 40} {
		payload, err := proto.Marshal(load.NewSample(number, 5, load.Body(64)))
		if err != nil {
			t.Fatal(err)
		}
		if got, intended, err := load.ParseSample(payload); err != nil || got != number || intended != 5 {
			t.Errorf("sample %d came back as %d at %d, %v", number, got, intended, err)
		}
		if got, intended, err := load.Parse(load.Payload(64, number, 5)); err != nil || got != number || intended != 5 {
			t.Errorf("payload %d came back as %d at %d, %v", number, got, intended, err)
		}
	}
	if _, _, err := load.Parse(nil); err == nil {
		t.Error("an empty payload has a number")
	}
}

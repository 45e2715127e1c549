package trial_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/benchmarks/internal/inprocess"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/otelsdk"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryMessageArrivesInProcess(t *testing.T) {
	const n = 2000
	t.Cleanup(func() {
		if err := otelsdk.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	tests := []struct {
		name string
		peer peer.Peer
		load load.Load
		run  trial.Func
	}{
		{"generated stubs in memory", ours.Memory(), load.Load{}, trial.InProcess},
		{"generated stubs in memory, traced", ours.Memory(), load.Load{Telemetry: load.SDKSampling}, trial.InProcess},
		{"ten subscriptions", ours.Crowd(), load.Load{Bytes: 64, Subscriptions: 10}, trial.InProcess},
		{"a backlog", ours.DeepMemory(), load.Load{Bytes: 64, Backlog: 500}, trial.Backlog(nil)},
		{"Watermill gochannel as it comes", inprocess.Gochannel(), load.Load{}, trial.InProcess},
		{"Watermill gochannel that blocks", inprocess.BlockingGochannel(), load.Load{}, trial.InProcess},
		{"a plain channel", inprocess.Channel(), load.Load{}, trial.InProcess},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := test.run(t.Context(), test.peer, test.load, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Err(); err != nil {
				t.Error(err)
			}
			if r.Messages != n || r.Elapsed <= 0 || r.CPU < 0 || r.AllocsPerMessage() <= 0 {
				t.Errorf("measured %+v", r)
			}
		})
	}
}

func TestWhatAPeerLosesOrDoublesIsFound(t *testing.T) {
	t.Parallel()
	const n = 100
	tests := []struct {
		name  string
		times func(number int) int
		want  string
	}{
		{"a message that is lost", func(number int) int { return min(number, 1) }, "only 355 of 356 messages had arrived"},
		{"a message that comes twice", func(number int) int {
			if number == 3 {
				return 2
			}
			return 1
		}, "of 356 messages 357 were delivered, 356 of them different ones"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := peer.Peer{Open: func(context.Context, load.Load) (peer.Session, error) { return &unfaithful{times: test.times}, nil }}
				r, err := trial.InProcess(t.Context(), p, load.Load{}, n)
				if err == nil {
					err = r.Err()
				}
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("the error is %v, want one with %q", err, test.want)
				}
			})
		})
	}
}

// unfaithful delivers each message as often as times says.
type unfaithful struct {
	times  func(number int) int
	handle load.HandleFunc
}

func (u *unfaithful) Send(ctx context.Context, s *load.Source) error {
	return peer.Callers(ctx, 1, s, func(_ context.Context, number int, intended int64) error {
		for range u.times(number) {
			u.handle(number, intended)
		}
		return nil
	})
}

func (u *unfaithful) Receive(_ context.Context, h load.HandleFunc) error {
	u.handle = h
	return nil
}

func (u *unfaithful) Close(context.Context) error { return nil }

func TestWhatDidNotArriveOnceIsAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result trial.Result
		fine   bool
	}{
		"all":                                 {trial.Result{Expected: 400, Delivered: 400, Distinct: 400}, true},
		"one is missing":                      {trial.Result{Expected: 400, Delivered: 399, Distinct: 399}, false},
		"one came twice":                      {trial.Result{Expected: 400, Delivered: 401, Distinct: 400}, false},
		"one came twice, and another did not": {trial.Result{Expected: 400, Delivered: 400, Distinct: 399}, false},
		"some acknowledgements were lost":     {trial.Result{Expected: 4000, Delivered: 4000, Distinct: 4000, Left: 256}, true},
		"many acknowledgements were lost":     {trial.Result{Expected: 4000, Delivered: 4000, Distinct: 4000, Left: 401}, false},
	} {
		if err := test.result.Err(); (err == nil) != test.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

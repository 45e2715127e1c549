package amqptransport

import (
	"math/rand/v2"
	"testing"
)

func TestLedgerAcksACompletePrefixOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before []uint64 // settled earlier
		acks   []uint64
		want   uint64
	}{
		{"a single ack stands for itself", nil, []uint64{1}, 0},
		{"a prefix in order is one", nil, []uint64{1, 2, 3}, 3},
		{"a prefix in any order is one", nil, []uint64{3, 1, 2}, 3},
		{"behind a gap every ack is its own", nil, []uint64{2, 3, 4}, 0},
		{"what lies behind a gap is not covered", nil, []uint64{1, 2, 4, 5}, 2},
		{"a gap that closes covers what was settled before", []uint64{2, 3}, []uint64{1, 4}, 4},
		{"the tag is one that is still open at the broker", []uint64{3, 4}, []uint64{1, 2}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var l ledger
			for _, tag := range tt.before {
				l.settle(tag)
			}
			var acks []outcome
			for _, tag := range tt.acks {
				l.settle(tag)
				acks = append(acks, outcome{tag: tag})
			}
			if got := l.multiple(acks); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLedgerForgetsWhatThePrefixHolds(t *testing.T) {
	t.Parallel()
	var l ledger
	const n = 1000
	for _, i := range rand.Perm(n) {
		l.settle(uint64(i + 1))
	}
	if l.prefix != n || len(l.words) > 1 {
		t.Errorf("prefix %d, %d words are left", l.prefix, len(l.words))
	}
}

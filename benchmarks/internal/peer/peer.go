// Package peer is what a way to carry messages must be able to do to take part in the benchmarks.
package peer

import (
	"context"

	"github.com/asyncpb/async/benchmarks/internal/load"
)

// Peer is a way to carry messages.
type Peer struct {
	// Name says what it is and how it is configured.
	Name string
	// Open prepares a session for a load: queues that nobody used before, declared and bound, and open connections.
	Open func(ctx context.Context, l load.Load) (Session, error)
}

// Session is one run of a peer.
type Session interface {
	// Send sends the messages of a source in the way of the load and returns when all are confirmed, or, where the load asks
	// for no confirms, sent.
	Send(ctx context.Context, s *load.Source) error
	// Receive begins to consume and returns when consuming has begun. It calls h for each message and acknowledges the
	// message when h has returned.
	Receive(ctx context.Context, h load.HandleFunc) error
	// Close ends consuming, acknowledges what was handled, and closes the connections. It leaves the queues.
	Close(ctx context.Context) error
}

// Queued is a session on a broker.
type Queued interface {
	Session
	// Fill sends the messages of a source as quickly as it can, in the same form as Send does.
	Fill(ctx context.Context, s *load.Source) error
	// Topology names what the session has declared; the first queue is the one that is consumed.
	Topology() Topology
	// Parse reads the number out of a message's payload.
	Parse(payload []byte) (number int, intended int64, err error)
}

// Pausable is a session whose consuming can be held up, so that messages wait.
type Pausable interface {
	Session
	// Fill sends the messages of a source as quickly as it can.
	Fill(ctx context.Context, s *load.Source) error
	// Pause stops consuming, and Resume begins again.
	Pause() error
	Resume() error
}

// Topology is what a session has declared at the broker.
type Topology struct{ Queues, Exchanges []string }

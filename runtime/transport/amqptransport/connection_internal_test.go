package amqptransport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestPauseDependsOnWhetherThereIsABroker: one that is not there is looked for often, so that it is found soon after it is
// back; one that refuses is left alone for longer and longer.
func TestPauseDependsOnWhetherThereIsABroker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		dial            func(context.Context) (net.Conn, error)
		atLeast, atMost time.Duration // the longest pause
	}{
		{
			name:    "nobody listens",
			dial:    func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") },
			atLeast: time.Second, atMost: 2 * time.Second,
		},
		{
			name: "the network swallows everything",
			dial: func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
			atLeast: 3 * time.Second, atMost: 5 * time.Second,
		},
		{
			name: "a load balancer accepts, and has nobody to hand on to",
			dial: func(context.Context) (net.Conn, error) {
				client, server := net.Pipe()
				_ = server.Close()
				return client, nil
			},
			atLeast: time.Second, atMost: 2 * time.Second,
		},
		{
			name: "somebody accepts and never says a word",
			dial: func(context.Context) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					_, _ = io.Copy(io.Discard, server)
					_ = server.Close()
				}()
				return client, nil
			},
			atLeast: 5 * time.Second, atMost: 7 * time.Second,
		},
		{
			name: "a broker ends every handshake",
			dial: func(context.Context) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					greeting := make([]byte, len("AMQP0091"))
					_, _ = io.ReadFull(server, greeting)
					_, _ = server.Write([]byte{frameMethod})
					_ = server.Close()
				}()
				return client, nil
			},
			atLeast: 5 * time.Second, atMost: 10 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
				defer cancel()
				var last time.Time
				var longest time.Duration
				d := &dialer{addresses: []string{"broker:5672"}, app: "test", dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					now := time.Now()
					if !last.IsZero() {
						longest = max(longest, now.Sub(last))
					}
					last = now
					return tt.dial(ctx)
				}}
				b := newBackoff(pace{first: 100 * time.Millisecond, last: 10 * time.Second, growth: 2})
				l := newLink("test", d, 0, b.pace, slog.New(slog.DiscardHandler))
				if l.reconnect(ctx, &b) {
					t.Fatal("connected to nobody")
				}
				if longest < tt.atLeast || longest > tt.atMost {
					t.Errorf("the longest time between two attempts is %v, want %v to %v", longest, tt.atLeast, tt.atMost)
				}
			})
		})
	}
}

// TestAStoppedHostLeavesTimeForTheOthers: the first of several hosts accepts and is stopped, as a process is by SIGSTOP.
func TestAStoppedHostLeavesTimeForTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tried []string
		d := &dialer{addresses: []string{"stopped:5672", "well:5672"}, app: "test", dial: func(_ context.Context, _, address string) (net.Conn, error) {
			tried = append(tried, address)
			if address == "well:5672" {
				return nil, errors.New("connection refused")
			}
			client, server := net.Pipe()
			go func() {
				_, _ = io.Copy(io.Discard, server)
				_ = server.Close()
			}()
			return client, nil
		}}
		began := time.Now()
		_, err := d.connect(t.Context(), "test", 0)
		if err == nil || len(tried) != 2 {
			t.Fatalf("tried %v: %v", tried, err)
		}
		if took := time.Since(began); took != greetingTimeout {
			t.Errorf("the stopped host cost %v, want %v", took, greetingTimeout)
		}
	})
}

package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/test/faults/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every byte with itself, until the test ends.
func echo(t *testing.T) *proxy.Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	p, err := proxy.New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		_ = listener.Close()
		<-ended
	})
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask writes data and returns how long it took to come back, or the error of the first thing that failed in time.
func ask(t *testing.T, conn net.Conn, size int, patience time.Duration) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	if err := conn.SetDeadline(began.Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, size)); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, make([]byte, size))
	return time.Since(began), err
}

func TestEveryWeatherIsFelt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		weather proxy.Weather
		size    int
		atLeast time.Duration
		silent  bool
	}{
		{"good weather", proxy.Weather{}, 100, 0, false},
		{"requests are held back", proxy.Weather{HoldRequests: true}, 1, 0, true},
		{"replies are held back", proxy.Weather{HoldReplies: true}, 1, 0, true},
		{"each way takes its time", proxy.Weather{Latency: 50 * time.Millisecond, Jitter: 5 * time.Millisecond}, 1, 90 * time.Millisecond, false},
		{"a narrow line", proxy.Weather{Bandwidth: 10_000}, 1000, 100 * time.Millisecond, false},
		{"single bytes", proxy.Weather{Slice: 1}, 100, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := echo(t)
			conn := dial(t, p)
			p.Set(row.weather)
			patience := 20 * time.Second
			if row.silent {
				patience = 100 * time.Millisecond
			}
			took, err := ask(t, conn, row.size, patience)
			if row.silent {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("got %v after %s, want silence", err, took)
				}
				p.Set(proxy.Weather{})
				if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(conn, make([]byte, row.size)); err != nil {
					t.Errorf("what was held back did not come when the weather changed: %v", err)
				}
				return
			}
			if err != nil || took < row.atLeast {
				t.Errorf("got %v after %s, want an answer after %s", err, took, row.atLeast)
			}
		})
	}
}

func TestACutEndsOpenConnectionsAndAllowsNewOnes(t *testing.T) {
	t.Parallel()
	p := echo(t)
	conn := dial(t, p)
	if _, err := ask(t, conn, 10, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if n := p.Cut(); n != 1 {
		t.Errorf("%d connections were cut", n)
	}
	if _, err := ask(t, conn, 10, 20*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the end of the connection", err)
	}
	if _, err := ask(t, dial(t, p), 10, 20*time.Second); err != nil {
		t.Error(err)
	}
}

func TestASlowCloseKeepsTheOtherSideOpen(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p, err := proxy.New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Set(proxy.Weather{Linger: 100 * time.Millisecond})
	conn := dial(t, p)
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	closed := time.Now()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.SetDeadline(closed.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	if took := time.Since(closed); took < 100*time.Millisecond {
		t.Errorf("the other side was closed after %s", took)
	}
}

func TestWhatGoesToTheBrokerIsCounted(t *testing.T) {
	t.Parallel()
	p := echo(t)
	p.Set(proxy.Weather{Slice: 7})
	for range 2 {
		if _, err := ask(t, dial(t, p), 100, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.Carried(); n != 200 {
		t.Errorf("%d bytes, want 200 of two connections, and none of the replies", n)
	}
}

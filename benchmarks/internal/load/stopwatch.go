package load

import (
	"fmt"
	"runtime/metrics"
	"syscall"
	"time"
)

// Usage is what a stretch of a run took.
type Usage struct {
	Elapsed time.Duration
	// CPU is the user and system time of this process, in all its threads.
	CPU time.Duration
	// Allocs are the objects that were allocated on the heap, and Bytes their size.
	Allocs, Bytes uint64
}

// Stopwatch measures one stretch.
type Stopwatch struct{ begin snapshot }

// Start starts a stopwatch.
func Start() *Stopwatch { return &Stopwatch{begin: take()} }

// Stop returns what was used since Start. It may be called again later.
func (s *Stopwatch) Stop() Usage {
	end := take()
	return Usage{
		Elapsed: end.at.Sub(s.begin.at),
		CPU:     end.cpu - s.begin.cpu,
		Allocs:  end.allocs - s.begin.allocs,
		Bytes:   end.bytes - s.begin.bytes,
	}
}

type snapshot struct {
	at            time.Time
	cpu           time.Duration
	allocs, bytes uint64
}

func take() snapshot {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("getrusage of this process: %v", err))
	}
	return snapshot{
		at:     time.Now(),
		cpu:    time.Duration(u.Utime.Nano() + u.Stime.Nano()),
		allocs: samples[0].Value.Uint64(),
		bytes:  samples[1].Value.Uint64(),
	}
}

// Plus adds what another stretch took.
func (u Usage) Plus(other Usage) Usage {
	return Usage{
		Elapsed: u.Elapsed + other.Elapsed, CPU: u.CPU + other.CPU,
		Allocs: u.Allocs + other.Allocs, Bytes: u.Bytes + other.Bytes,
	}
}

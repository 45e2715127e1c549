package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// GaugeInterval is how much time passes from one measurement of a process to the next.
const GaugeInterval = 5 * time.Second

// Gauge is what a process had in use at some time.
type Gauge struct {
	// At is when, in Unix nanoseconds.
	At int64
	// Goroutines, Heap (bytes of live objects) and Descriptors are what is in use. Descriptors are 0 where the system does not
	// say.
	Goroutines, Heap, Descriptors int64
}

// Measure appends what this process has in use to a file, again and again until ctx ends.
func Measure(ctx context.Context, path string) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for Pass(ctx, GaugeInterval) == nil {
		// Without a collection the heap is what has gathered since the last one.
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		open, readErr := os.ReadDir("/proc/self/fd")
		if readErr != nil {
			open = nil
		}
		if _, err := fmt.Fprintln(file, time.Now().UnixNano(), runtime.NumGoroutine(), memory.HeapAlloc, len(open)); err != nil {
			return err
		}
	}
	return nil
}

// ReadGauges reads what [Measure] wrote.
func ReadGauges(path string) ([]Gauge, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	var gauges []Gauge
	for line := range strings.Lines(string(whole)) {
		var g Gauge
		f := strings.Fields(line)
		into := []*int64{&g.At, &g.Goroutines, &g.Heap, &g.Descriptors}
		if len(f) != len(into) {
			return nil, fmt.Errorf("%s: %q is no line of four numbers", path, line)
		}
		for i, v := range into {
			if *v, err = strconv.ParseInt(f[i], 10, 64); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		gauges = append(gauges, g)
	}
	return gauges, nil
}

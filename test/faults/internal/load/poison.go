package load

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/asyncpb/async/test/faults/internal/check"
)

// Harm is what is wrong with a message that is poison.
type Harm string

const (
	// HarmError makes its handler fail.
	HarmError Harm = "error"
	// HarmPanic makes its handler panic.
	HarmPanic Harm = "panic"
	// HarmGoexit makes its handler end its goroutine.
	HarmGoexit Harm = "goexit"
	// HarmExit makes its handler end the process.
	HarmExit Harm = "exit"
	// HarmHang makes its handler wait for the end of its context, once in each process.
	HarmHang Harm = "hang"
	// HarmBytes is in the message itself, which nobody can decode. The producer sends it so.
	HarmBytes Harm = "bytes"
)

// ParseHarm reads the name of a harm.
func ParseHarm(name string) (Harm, error) {
	known := []Harm{HarmError, HarmPanic, HarmGoexit, HarmExit, HarmHang, HarmBytes}
	if i := slices.Index(known, Harm(name)); i >= 0 {
		return known[i], nil
	}
	return "", fmt.Errorf("the harm %q is unknown; write one of %v", name, known)
}

// Poison says which messages are poison.
type Poison struct {
	// Every makes it one message in so many of each key; 0 is none.
	Every int
	// Most makes it the first such message of so many keys, and no other; 0 is no bound.
	Most int
}

// Has says whether the message with an id is poison.
func (p Poison) Has(id string) bool {
	key, seq := check.Split(id)
	if p.Every <= 0 || seq <= 0 || seq%p.Every != 0 {
		return false
	}
	if p.Most <= 0 {
		return true
	}
	number, err := strconv.Atoi(key[strings.LastIndexByte(key, '-')+1:])
	return err == nil && number < p.Most && seq == p.Every
}

// suffer does to a handler what the harm says, and returns what the handler has to return.
func (c *Consumer) suffer(ctx context.Context, id string) error {
	switch c.Harm {
	case HarmPanic:
		panic("poison " + strconv.Quote(id))
	case HarmGoexit:
		runtime.Goexit()
	case HarmExit:
		os.Exit(exitCode)
	case HarmHang:
		<-ctx.Done()
		return context.Cause(ctx)
	case HarmError, HarmBytes:
	}
	return fmt.Errorf("poison %q", id)
}

// exitCode is how a process ends that HarmExit ended.
const exitCode = 3

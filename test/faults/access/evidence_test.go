package access_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/asyncpb/async/internal/otelcheck"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
)

// evidence is everything that was said, in every form in which somebody might print it.
type evidence struct {
	mu   sync.Mutex
	text strings.Builder
	*otelcheck.Recorder
}

func newEvidence() *evidence { return &evidence{Recorder: otelcheck.NewRecorder(nil)} }

// Write makes it the output of loggers.
func (e *evidence) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

// options has a runtime tell all: logs from debug on, traces, metrics and the log records of errors.
func (e *evidence) options() []async.Option {
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	return []async.Option{
		async.WithLogger(slog.New(slog.NewMultiHandler(slog.NewTextHandler(e, all), slog.NewJSONHandler(e, all)))),
		async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(e.Tracers), asyncotel.WithMeterProvider(e.Meters),
			asyncotel.WithLoggerProvider(e.Loggers), asyncotel.WithPropagator(e.Propagator))),
	}
}

// add keeps a value as printed in all ways.
func (e *evidence) add(value any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
		_, _ = fmt.Fprintf(e, verb+"\n", value)
	}
	if encoded, err := json.Marshal(value); err == nil {
		_, _ = e.Write(encoded)
	}
	if err, is := value.(error); is {
		e.causes(err)
	}
}

// causes goes down the chain of an error: what one layer hides another may print.
func (e *evidence) causes(err error) {
	_, _ = fmt.Fprintf(e, "%T %+v\n", err, err)
	switch wrapped := err.(type) { //nolint:errorlint // each layer is looked at by itself
	case interface{ Unwrap() error }:
		if inner := wrapped.Unwrap(); inner != nil {
			e.causes(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapped.Unwrap() {
			e.causes(inner)
		}
	}
}

// telemetry adds what the SDK has got.
func (e *evidence) telemetry() (spans, records int, err error) {
	var c otelcheck.Capture
	if err := e.Fill(context.Background(), &c); err != nil {
		return 0, 0, err
	}
	for _, s := range c.Spans {
		e.add(s)
		for key, value := range s.Attributes {
			e.add(string(key) + "=" + value.String())
		}
	}
	for _, r := range c.Records {
		e.add(r)
		for key, value := range r.Attributes {
			e.add(string(key) + "=" + value.String())
		}
	}
	e.add(c.Metrics)
	return len(c.Spans), len(c.Records), nil
}

// message adds what a message carries.
func (e *evidence) message(d transport.Delivery) {
	e.add(d.Message().Metadata)
	e.add(string(d.Message().Payload))
}

// holds counts how often the secret was said, plain or in a coding that everybody reads.
func (e *evidence) holds(user, secret string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.text.String()
	n := 0
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + secret)),
		base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)),
	} {
		n += strings.Count(text, form)
	}
	return n
}

func (e *evidence) mentions(words ...string) (missing []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, word := range words {
		if !strings.Contains(e.text.String(), word) {
			missing = append(missing, word)
		}
	}
	return missing
}

package asyncotel

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler returns a handler that adds trace_id and span_id to every record that is logged in the context of a span, and
// hands it to next. It is for the logger that a program's own handlers use, with their context:
//
//	log := slog.New(asyncotel.LogHandler(slog.NewJSONHandler(os.Stderr, nil)))
//
// What the runtime itself logs of a message, in the context of its span, has the ids by [async.WithTelemetry] alone; that logger
// may be the same. The attributes are those of the record: they stand inside of a group that is open. A handler that was returned here
// is returned as it is.
func LogHandler(next slog.Handler) slog.Handler {
	if marks, ok := next.(logHandler); ok {
		return marks
	}
	return logHandler{next}
}

type logHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r) //nolint:wrapcheck // the error is next's
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }

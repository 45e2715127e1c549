package asyncotel

import (
	"time"

	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// emit writes the error as the log record of the conventions, in the context of its span.
func (t *Telemetry) emit(s *spanned, err error, kind string) {
	if s.o.typ == "" {
		return // the call: the operations inside of it tell
	}
	severity := log.SeverityWarn
	if s.o.typ == processType {
		severity = log.SeverityError
	}
	name := exceptionPrefix + s.o.typ + exceptionSuffix
	if !t.logger.Enabled(s.ctx, log.EnabledParameters{Severity: severity, EventName: name}) {
		return
	}
	var r log.Record
	r.SetEventName(name)
	r.SetTimestamp(time.Now())
	r.SetSeverity(severity)
	r.AddAttributes(semconv.ExceptionType(kind), semconv.ExceptionMessage(describe(err)))
	t.logger.Emit(s.ctx, r)
}

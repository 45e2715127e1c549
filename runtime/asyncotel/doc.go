// Package asyncotel makes OpenTelemetry traces, metrics and log records of a runtime:
//
//	rt, err := async.Open(ctx, async.WithTelemetry(asyncotel.New()))
//
// or, with this package imported for its name only, with telemetry: otel in the configuration file.
//
// It follows the messaging semantic conventions in the version of [SchemaURL], which are in development: a later version of
// this package may follow a later one. What the conventions have no name for is called async.*. It uses the OpenTelemetry API only; a program
// brings the SDK and sets the global providers, or hands its own to [New].
//
// A message has a creation context: that of the span in which it was sent. It is written to the message once and survives
// retries, dead letters and replays. A handler's span always links to it, and is its child unless the trace mode says
// otherwise; see [async.TraceMode].
//
// The time from the call that sent a message to the end of its handler is T_total = T_send + T_receive, and
// T_receive = T_queue + T_process. Of the spans of one message these are exact: T_send is the duration of the send span, T_process
// that of the process span. The attributes and metrics that a consumer writes are measured from async-sent-at, the hand-over
// to the transport, since it cannot know when the confirm came: they are longer by what the confirm took.
//
// docs/observability.md lists every name.
package asyncotel

// Package otelcheck holds telemetry to the messaging conventions and to this project's model: rules over the spans, metrics,
// log records and wire metadata that one scenario has left. A rule says what is wrong in words; no word means that nothing is.
package otelcheck

package ours

import (
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/otelsdk"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// telemetry returns the options that wire it. Without an SDK it is left to the global providers, as in a program that has
// none.
func telemetry(level load.Telemetry) []async.Option {
	switch level {
	case load.NoSDK:
		return []async.Option{async.WithTelemetry(asyncotel.New())}
	case load.SDKOnePart, load.SDKSampling:
		return []async.Option{async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(otelsdk.TracerProvider(level))))}
	case load.Off:
	}
	return nil
}

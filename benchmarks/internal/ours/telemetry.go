package ours

import (
	"github.com/asyncpb/async/benchmarks/internal/load"
	async "github.com/asyncpb/async/runtime"
)

// telemetry returns the options that wire it.
func telemetry(load.Telemetry) []async.Option { return nil }

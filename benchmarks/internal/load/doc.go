// Package load is what the benchmarks ask of every side alike: a [Load] that says what to do, a [Source] that numbers the
// messages, a [Tally] that knows which of them arrived, and a [Stopwatch] for time, CPU and allocations.
package load

package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// page is the report for readers.
func (r *Report) page() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Benchmarks\n")
	line("Written by `make bench`; [benchmarks.json](benchmarks.json) holds the same with every round. Do not edit.\n")
	if r.Only != "" {
		line("**Only the rows that match** `%s` were run.\n", r.Only)
	}
	if r.Void {
		line("**This run is void**: %s. Its ratios mean nothing.\n", strings.Join(r.VoidBecause, "; "))
	}
	targets, met := r.Count()
	line("%d of %d targets are met.\n", met, targets)
	line("![Each ratio as a share of its target](benchmarks.svg)\n")
	line("%s\n", strings.TrimSpace(reading))
	r.machine(line)
	var part string
	for _, row := range r.Rows {
		if row.Part != part {
			part = row.Part
			line("\n## %s\n", part)
			line("| target | row | ratio (median) | min to max | wanted | met | ours | peer |")
			line("|---|---|---|---|---|---|---|---|")
		}
		line("| %s | %s | %s |", row.ID, row.Name, strings.Join(row.cells(), " | "))
	}
	r.sides(line)
	return b.String()
}

const reading = `
A ratio is ours to the peer's, taken in each round; rounds follow each other in one process, and the order of the sides
turns around from round to round. What a ratio compares is messages a second unless the row says otherwise. Every message
carries a number, and every run counts what arrived: a run in which one is missing or doubled is an error and no figure. So is one after
which more than a tenth, or 256 where that is more, are still in the queue: a few acknowledgements are lost on their way when a channel is closed, and how
many is told below. Queues are new for each run. The denominators are amqp091-go with bytes and nothing else, persistent
messages, straight to the queue: PUB is one channel with deferred confirms in a window of 256; SUB is a prefetch of 256 with
one acknowledgement for 64 messages; E2E is both at once; RTT waits for each confirm. Messages have 1 KiB unless the row
says otherwise. A request is counted when its caller has its own reply; the raw one goes through RabbitMQ's direct reply-to,
without confirms and from memory, while ours is stored and confirmed. "OTel SDK on" samples every trace and drops the spans in the exporter. What
telemetry costs is a difference of two CPU times, both taken on a single processor. Where 1 M messages wait, RabbitMQ
pages its classic queue to disk, which is in the time of a message and not in the client's CPU; that row has one round, and
quorum queues stop at 100 k, since a node of RabbitMQ 3.10 may end with an error when it deletes one that has held 1 M. A run is void unless raw
publishing without confirms is 1.1 to 2.5 times PUB, and RTT 0.04 to 0.25 of it.
`

func (r *Report) machine(line func(string, ...any)) {
	m := r.Machine
	line("| | |")
	line("|---|---|")
	line("| run | %s form, %d rounds of %s, 3 at most without a target, %s, %.0f s |", r.Form, r.Rounds, r.Time, r.Began.UTC().Format("2 January 2006 15:04 UTC"), r.Seconds)
	line("| machine | %s, %d cores, %s, %s |", m.CPU, m.Cores, m.Memory, m.System)
	line("| broker | %s, on the same machine |", m.Broker)
	line("| Go | %s |", m.Go)
	for _, path := range slices.Sorted(maps.Keys(m.Versions)) {
		line("| %s | %s |", path, m.Versions[path])
	}
}

// cells are the columns of a row from the ratio on.
func (r *Row) cells() []string {
	wanted, met := "", ""
	if r.Target != nil {
		wanted = r.Target.String()
		met = map[bool]string{true: "yes", false: "**no**"}[*r.Met]
	}
	if r.Error != "" {
		return []string{"error: " + strings.ReplaceAll(r.Error, "|", "\\|"), "", wanted, met, "", ""}
	}
	peer := r.Peer.figures(r.Metric)
	if r.Budget != "" && !strings.Contains(r.Budget, "on top") {
		peer = "budget: " + r.Budget
	}
	return []string{figure(r.Ratio.Median), figure(r.Ratio.Min) + " to " + figure(r.Ratio.Max), wanted, met, r.Ours.figures(r.Metric), peer}
}

// figures are what a side brought, in the words of what is compared.
func (s *Side) figures(metric string) string {
	switch {
	case s.LiveHeap > 0:
		return fmt.Sprintf("%.1f MiB", s.LiveHeap)
	case strings.Contains(metric, "latency"):
		return fmt.Sprintf("%.2f / %.2f / %.2f ms", s.P50, s.P99, s.P999)
	case strings.Contains(metric, "CPU"):
		return fmt.Sprintf("%.1f µs CPU, %.0f allocs", s.CPU, s.Allocs)
	case strings.Contains(metric, "allocations"):
		return fmt.Sprintf("%.1f allocs", s.Allocs)
	case strings.Contains(metric, "ns a message"):
		return fmt.Sprintf("%.0f ns, %.1f allocs", s.Nanoseconds, s.Allocs)
	}
	return fmt.Sprintf("%.0f/s", s.PerSecond)
}

// sides lists what the sides were and what arrived of each.
func (r *Report) sides(line func(string, ...any)) {
	line("\n## Sides, and what arrived\n")
	line("Latencies above are p50 / p99 / p99.9, from the intended time of a send to its handler. A contest that has several rows stands here once.\n")
	line("| row | side | parameters | messages a run | delivered of expected | left | µs CPU | allocs |")
	line("|---|---|---|---|---|---|---|---|")
	seen := make(map[*Side]bool)
	for _, row := range r.Rows {
		for _, s := range append([]*Side{row.Ours, row.Peer}, row.Others...) {
			if s == nil || seen[s] || s.Expected == 0 {
				continue
			}
			seen[s] = true
			line("| %s | %s | %s | %d | %d of %d, %d distinct | %d | %.1f | %.1f |", row.Name, s.Name, s.Parameters, s.Messages, s.Delivered, s.Expected, s.Distinct, s.Left, s.CPU, s.Allocs)
		}
	}
}

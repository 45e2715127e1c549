package otelcheck

import (
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// stream is one instrument with its points.
type stream struct{ metricdata.Metrics }

// point is one data point.
type point struct {
	attributes attribute.Set
	count      int64 // of a counter its sum
	sum        float64
	bounds     []float64
}

func (c *Capture) metrics() []stream {
	var all []stream
	for _, scope := range c.Metrics {
		for _, m := range scope.Metrics {
			all = append(all, stream{m})
		}
	}
	return all
}

func (c *Capture) metric(name string) stream {
	for _, m := range c.metrics() {
		if m.Name == name {
			return m
		}
	}
	return stream{metricdata.Metrics{Name: name}}
}

func (s stream) points() []point {
	var points []point
	switch data := s.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, int64(p.Count), p.Sum, p.Bounds})
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, p.Value, float64(p.Value), nil})
		}
	}
	return points
}

// kind is the instrument's kind in the conventions' words.
func (s stream) kind() string {
	switch data := s.Data.(type) {
	case metricdata.Histogram[float64]:
		return "histogram"
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			return "counter"
		}
		return "updowncounter"
	}
	return "none"
}

// count is the sum over all points, or those with the attribute.
func (s stream) count(with ...attribute.KeyValue) (n int64) {
	for _, p := range s.points() {
		if has(p.attributes, with) {
			n += p.count
		}
	}
	return n
}

func (s stream) sum() (total float64) {
	for _, p := range s.points() {
		total += p.sum
	}
	return total
}

func has(set attribute.Set, with []attribute.KeyValue) bool {
	return !slices.ContainsFunc(with, func(kv attribute.KeyValue) bool {
		v, ok := set.Value(kv.Key)
		return !ok || v != kv.Value
	})
}

// namespace is what each run of a scenario has of its own.
var namespace = regexp.MustCompile(`otel[0-9a-f]{10}\.`)

// signature describes every point but its values: what has to be the same whatever is sampled.
func (c *Capture) signature() []string {
	var all []string
	for _, m := range c.metrics() {
		for _, p := range m.points() {
			n := p.count
			all = append(all, strings.Join([]string{m.Name, m.Unit, m.kind(), p.attributes.Encoded(attribute.DefaultEncoder()), plural(n)}, " "))
		}
	}
	for i := range all {
		all[i] = namespace.ReplaceAllString(all[i], "")
	}
	slices.Sort(all)
	return all
}

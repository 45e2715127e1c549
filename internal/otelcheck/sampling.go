package otelcheck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

var sampling = []Rule{
	{"R36", "of a linked message both halves are kept, or neither", checkBothOrNone},
	{"R37", "the tree of spans is the same on every transport", checkTree},
	{"R38", "without an SDK there is little cost, and nothing but the headers on the wire", checkNothing},
}

func checkBothOrNone(c *Capture) (r []string) {
	if !c.Facts.Ratio {
		return nil
	}
	sent, handled := c.OfType("send"), c.OfType("process")
	if len(sent) == 0 || len(sent) == c.Facts.Messages {
		(*report)(&r).add("%d of %d sends are kept: nothing can be told from that", len(sent), c.Facts.Messages)
	}
	for _, s := range sent {
		if !slices.ContainsFunc(handled, func(p *Span) bool { return p.linked(s.Context) > 0 }) {
			(*report)(&r).add("the handling of a message is missing whose sending is there")
		}
	}
	for _, p := range handled {
		if len(p.Links) != 1 || c.find(p.Links[0].Context) == nil {
			(*report)(&r).add("the sending of a message is missing whose handling is there")
		}
	}
	return r
}

// Tree is the normalised tree of spans: operations and kinds, parents and links, without settlements and without what a transport
// calls its places.
func (c *Capture) Tree() string {
	children := make(map[trace.SpanID][]*Span)
	var roots []*Span
	for i := range c.Spans {
		s := &c.Spans[i]
		switch {
		case s.Type() == "settle":
		case c.find(s.Parent) != nil:
			children[s.Parent.SpanID()] = append(children[s.Parent.SpanID()], s)
		default:
			roots = append(roots, s)
		}
	}
	var draw func(s *Span, depth int) string
	draw = func(s *Span, depth int) string {
		name := s.Attributes.Text(semconv.MessagingOperationNameKey)
		if name == "" {
			name = s.Name
		}
		links := make([]string, 0, len(s.Links))
		for _, l := range s.Links {
			if to := c.find(l.Context); to != nil {
				links = append(links, to.Attributes.Text(semconv.MessagingOperationNameKey))
			} else {
				links = append(links, "elsewhere")
			}
		}
		slices.Sort(links)
		text := fmt.Sprintf("%s%s %s %s %v\n", strings.Repeat("  ", depth), name, s.Kind, s.Status, links)
		return text + below(children[s.Context.SpanID()], depth+1, draw)
	}
	return below(roots, 0, draw)
}

// below draws spans in an order that does not depend on time.
func below(spans []*Span, depth int, draw func(*Span, int) string) string {
	parts := make([]string, 0, len(spans))
	for _, s := range spans {
		parts = append(parts, draw(s, depth))
	}
	slices.Sort(parts)
	return strings.Join(parts, "")
}

func checkTree(c *Capture) (r []string) {
	if c.Facts.Twin == nil || c.Facts.SampledOut {
		return nil
	}
	if diff := cmp.Diff(c.Facts.Twin.Tree(), c.Tree()); diff != "" {
		(*report)(&r).add("the trees differ, - %s + %s:\n%s", c.Facts.Twin.System, c.System, diff)
	}
	return r
}

const maxAllocations = 8

func checkNothing(c *Capture) (r []string) {
	if c.Scenario != "without SDK" {
		return nil
	}
	if c.Facts.Allocations > maxAllocations {
		(*report)(&r).add("a message costs %.1f allocations more, want at most %d", c.Facts.Allocations, maxAllocations)
	}
	if len(c.Spans)+len(c.Metrics)+len(c.Records) > 0 {
		(*report)(&r).add("something was recorded")
	}
	known := []string{
		transport.MetaTraceparent, transport.MetaTracestate, transport.MetaBaggage, transport.MetaCreatedAt, transport.MetaSentAt, transport.MetaDeadline,
	}
	for _, w := range c.Sent {
		for name := range w.Metadata {
			if !strings.HasPrefix(name, "ce-") && !slices.Contains(known, name) {
				(*report)(&r).add("the message carries %s", name)
			}
		}
	}
	return r
}

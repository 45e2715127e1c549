package place

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/asyncpb/async/cmd/async/internal/schema"
	"github.com/asyncpb/async/internal/contract"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// Query says which places are asked for. Empty fields ask for all.
type Query struct {
	// Topic is logical or physical.
	Topic string
	// Groups are the only groups that count; they also say in which groups to look for events.
	Groups []string
	// Apps are applications whose groups of events to look for, beside that of the configuration.
	Apps []string
	// Queue is the physical name of one queue of dead letters. It excludes Topic and Groups.
	Queue string
}

// Finder finds places.
type Finder struct {
	Runtime *async.Runtime
	Schema  *schema.Schema
}

// Found is what a Finder has found.
type Found struct {
	// Places are candidates, ordered by topic and group, each once. Whether their queues exist is not said, unless
	// the broker itself has listed them.
	Places []Place
	// Explicit: the flags name the place in full, so that it is a mistake if it does not exist.
	Explicit bool
	// Skipped are the events that were not looked for, since nothing says which groups they have.
	Skipped []string
}

// Find lists the places that q asks for. The error says what has to be given when flags and contract do not tell.
func (f Finder) Find(ctx context.Context, q Query) (Found, error) {
	base := f.Runtime.Carrier("", "")
	if q.Queue != "" {
		return Found{Places: []Place{shared(base.Transport, q.Queue)}, Explicit: true}, nil
	}
	found := f.contract(q)
	if len(found.Places) > 0 || len(found.Skipped) > 0 && q.Topic == "" {
		return found, nil
	}
	switch {
	case q.Topic != "" && len(q.Groups) > 0:
		for _, group := range q.Groups {
			found.Places = append(found.Places, of(base.Transport, base.Physical(q.Topic), group))
		}
		return Found{Places: found.Places, Explicit: true}, nil
	case len(found.Skipped) > 0:
		return Found{}, fmt.Errorf("%s is an event, and every application that subscribes has a group of its own; add --group <name>, or --app <name>", found.Skipped[0])
	}
	return f.listed(ctx, base, q)
}

// contract looks the annotated rpcs up.
func (f Finder) contract(q Query) Found {
	var found Found
	for _, spec := range f.Schema.Specs() {
		c := f.Runtime.Carrier(spec.Service+"/"+spec.Method, spec.Policy.DeadLetter.Topic)
		if c.Transport == nil {
			continue
		}
		groups := groupsOf(spec, c, q)
		for i, topic := range append([]string{spec.Topic}, spec.Aliases...) {
			if q.Topic != "" && q.Topic != topic && q.Topic != c.Physical(topic) {
				continue
			}
			if len(groups) == 0 {
				found.Skipped = append(found.Skipped, topic)
				break
			}
			for _, group := range groups {
				if len(q.Groups) > 0 && !slices.Contains(q.Groups, group) {
					continue
				}
				p := of(c.Transport, c.Physical(topic), group)
				switch {
				case i > 0:
					p.Note = "old topic"
				case slices.Contains(spec.GroupAliases, group):
					p.Note = "old group"
				}
				found.Places = append(found.Places, p)
			}
			if c.DeadTopic != "" {
				found.Places = append(found.Places, shared(c.Transport, c.DeadTopic))
			}
		}
	}
	if base := f.Runtime.Carrier("", ""); f.Schema != nil && base.Transport != nil && (q.Topic == "" || len(found.Places) > 0) {
		found.Places = append(found.Places, shared(base.Transport, Parked))
	}
	found.Places = sorted(found.Places)
	return found
}

// groupsOf is where messages of an rpc can be; empty for an event of whose groups nothing is known.
func groupsOf(spec *contract.Spec, c async.Carrier, q Query) []string {
	switch {
	case spec.Kind != contract.Event:
		return append([]string{spec.Group}, spec.GroupAliases...)
	case len(q.Groups) > 0:
		return q.Groups
	case c.App != "":
		return append([]string{c.App}, q.Apps...)
	default:
		return q.Apps
	}
}

// listed asks the broker.
func (f Finder) listed(ctx context.Context, base async.Carrier, q Query) (Found, error) {
	browser, err := BrowserOf(base.Transport)
	if err != nil {
		return Found{}, err
	}
	queues, err := browser.Queues(ctx)
	if errors.Is(err, transport.ErrUnsupported) {
		return Found{}, fmt.Errorf("%s does not tell which queues there are; name --topic and --group, or give the contract with --descriptors (buf build -o descriptors.binpb)",
			base.Transport.Capabilities().System)
	}
	if err != nil {
		return Found{}, fmt.Errorf("list the queues: %w", err)
	}
	var found Found
	for _, queue := range queues {
		p := shared(base.Transport, strings.TrimSuffix(queue.Name, "--dead")+"--dead")
		if p.Topic == "" || !strings.HasPrefix(p.Topic, base.Physical("")) ||
			q.Topic != "" && q.Topic != p.Topic && base.Physical(q.Topic) != p.Topic ||
			len(q.Groups) > 0 && !slices.Contains(q.Groups, p.Group) {
			continue
		}
		found.Places = append(found.Places, p)
	}
	found.Places = sorted(found.Places)
	return found, nil
}

func sorted(places []Place) []Place {
	slices.SortStableFunc(places, func(a, b Place) int { return strings.Compare(a.Dead, b.Dead) })
	return slices.CompactFunc(places, func(a, b Place) bool { return a.Dead == b.Dead && a.Transport == b.Transport })
}

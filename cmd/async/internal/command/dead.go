package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asyncpb/async/cmd/async/internal/letter"
	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

// selection is the flags that pick dead letters.
type selection struct {
	query  place.Query
	match  []string
	limit  int
	reveal bool
}

func (s *session) dead() *cobra.Command {
	dead := parent("dead", "List, show, replay and drop dead letters", `Dead letters are messages that failed for good: rejected by a handler, out of attempts, unreadable; or handed out too often
without an acknowledgement, so that the broker itself put them aside (reason "broker"). Delayed messages whose queue had gone when they were due (reason
"parked") are listed with --descriptors, or with --queue async.delay.parked; all applications of a vhost share that queue, and --namespace
picks what is its own.`)
	dead.AddCommand(s.deadList(), s.deadShow(), s.deadReplay(), s.deadDrop())
	return dead
}

// flags adds the flags of the selection. unlimited says what limit 0 means for the command.
func (l *selection) flags(c *cobra.Command, limit int) {
	f := c.Flags()
	f.StringVar(&l.query.Topic, "topic", "", "only this `topic`, with or without the namespace")
	f.StringSliceVar(&l.query.Groups, "group", nil, "only these `groups` (repeatable)")
	f.StringVar(&l.query.Queue, "queue", "", "the queue of dead letters itself, by its `name` on the broker")
	f.StringArrayVar(&l.match, "match", nil, "only what fits `name=glob`: id, type, key, reason, error or any metadata (repeatable, all must fit)")
	f.IntVar(&l.limit, "limit", limit, "at most so many dead letters; 0 is all")
}

func (l *selection) pattern(ids []string) (letter.Pattern, error) {
	p := letter.Pattern{IDs: ids, Groups: l.query.Groups}
	if l.limit < 0 {
		return p, usage("--limit %d is negative; write 0 for all", l.limit)
	}
	for _, text := range l.match {
		term, err := letter.ParseTerm(text)
		if err != nil {
			return p, &usageError{err}
		}
		p.Terms = append(p.Terms, term)
	}
	return p, nil
}

// each opens the broker and calls walk for every place with a queue of dead letters, with what is left of the limit. A queue
// that cannot be looked into holds back no other; it is the error at the end.
func (s *session) each(ctx context.Context, l *selection, ids []string, walk func(place.State, letter.Pattern, int) (int, error)) error {
	pattern, err := l.pattern(ids)
	if err != nil {
		return err
	}
	states, unseen := s.find(ctx, l.query)
	if len(states) == 0 && unseen != nil {
		return unseen
	}
	base := s.runtime.Carrier("", "")
	switch topic := l.query.Topic; {
	case topic != "":
		pattern.TopicFunc = func(t string) bool { return t == topic || t == base.Physical(topic) }
	default:
		pattern.TopicFunc = func(t string) bool { return strings.HasPrefix(t, base.Physical("")) }
	}
	left := l.limit
	for _, state := range states {
		if state.DeadQueue == nil {
			continue
		}
		visited, err := walk(state, pattern, left)
		if errors.Is(err, transport.ErrNotCounted) {
			unseen = errors.Join(unseen, err)
			continue
		}
		if err != nil {
			return err
		}
		if left -= visited; l.limit > 0 && left <= 0 {
			return unseen
		}
	}
	return unseen
}

func (s *session) deadList() *cobra.Command {
	var l selection
	c := &cobra.Command{
		Use: "ls [id...]", Short: "List dead letters, the oldest first", Args: cobra.ArbitraryArgs,
		Example: `  async dead ls --topic acme.orders.v1.Orders.Ship --group orders
  async dead ls --descriptors descriptors.binpb --match reason=max-attempts`,
		RunE: func(c *cobra.Command, ids []string) error {
			total := 0
			err := s.each(c.Context(), &l, ids, func(state place.State, pattern letter.Pattern, limit int) (int, error) {
				var letters []*letter.Letter
				n, err := letter.Walk(c.Context(), state.Place, pattern, limit, func(_ context.Context, l *letter.Letter) (bool, error) {
					letters = append(letters, l)
					return false, nil
				})
				if err == nil && n > 0 {
					s.list(state, letters, total > 0)
				}
				total += n
				return n, err
			})
			if err == nil && total == 0 {
				s.none()
			}
			return err
		},
	}
	l.flags(c, 100)
	return c
}

// none says that nothing was found, to people.
func (s *session) none() {
	if !s.json {
		fmt.Fprintln(s.stdout, "no dead letters")
	}
}

func (s *session) deadShow() *cobra.Command {
	var l selection
	c := &cobra.Command{
		Use: "show [id...]", Short: "Show dead letters with metadata and payload", Args: cobra.ArbitraryArgs,
		Example: `  async dead show 0195 --topic acme.orders.v1.Orders.Ship --group orders --descriptors descriptors.binpb`,
		RunE: func(c *cobra.Command, ids []string) error {
			total := 0
			err := s.each(c.Context(), &l, ids, func(state place.State, pattern letter.Pattern, limit int) (int, error) {
				n, err := letter.Walk(c.Context(), state.Place, pattern, limit, func(_ context.Context, dead *letter.Letter) (bool, error) {
					s.show(dead, l.reveal, total > 0)
					total++
					return false, nil
				})
				return n, err
			})
			if err == nil && total == 0 {
				s.none()
			}
			return err
		},
	}
	l.flags(c, 10)
	c.Flags().BoolVar(&l.reveal, "reveal", false, "show fields that the contract calls sensitive, too")
	return c
}

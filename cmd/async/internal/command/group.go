package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

func (s *session) group() *cobra.Command {
	group := parent("group", "List groups, and remove the queues that they have left behind", `A group keeps its queue when its last consumer goes, so that nothing is lost. When a group is gone for good, its queue goes on
collecting messages until somebody removes it.`)
	group.AddCommand(s.groupList(), s.groupRemove())
	return group
}

// groupRecord is a group as one line of JSON.
type groupRecord struct {
	Topic     string `json:"topic"`
	Group     string `json:"group"`
	Ready     int    `json:"ready"`
	Delayed   int    `json:"delayed,omitempty"`
	Consumers int    `json:"consumers"`
	Dead      int    `json:"dead"`
	Note      string `json:"note,omitempty"`
}

func newGroupRecord(state place.State) groupRecord {
	r := groupRecord{Topic: state.Topic, Group: state.Group, Note: state.Note}
	if q := state.GroupQueue; q != nil {
		r.Ready, r.Delayed, r.Consumers = q.Ready, q.Delayed, q.Consumers
	}
	if state.DeadQueue != nil {
		r.Dead = state.DeadQueue.Ready
	}
	switch {
	case state.GroupQueue == nil:
		r.Note = join(r.Note, "no queue, dead letters only")
	case state.GroupQueue.Consumers == 0:
		r.Note = join(r.Note, "no consumer")
	}
	return r
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func (s *session) groupList() *cobra.Command {
	var q place.Query
	c := &cobra.Command{
		Use: "ls", Short: "List groups with their queues", Args: noArguments,
		Long: `Ls lists the groups of topics with the messages that wait for them, their consumers and their dead letters. With --descriptors it
looks up every command and request, old topics and groups included; the applications that subscribe to events are named with --app.`,
		Example: `  async group ls --descriptors descriptors.binpb --app billing --app shipping`,
		RunE: func(c *cobra.Command, _ []string) error {
			states, unseen := s.find(c.Context(), q)
			if len(states) == 0 && unseen != nil {
				return unseen
			}
			rows := [][]string{{"TOPIC", "GROUP", "READY", "CONSUMERS", "DEAD", "NOTE"}}
			for _, state := range states {
				if state.Queue() == "" {
					continue
				}
				r := newGroupRecord(state)
				if s.json {
					s.line(r)
				}
				rows = append(rows, []string{r.Topic, r.Group, strconv.Itoa(r.Ready), strconv.Itoa(r.Consumers), strconv.Itoa(r.Dead), r.Note})
			}
			switch {
			case s.json:
			case len(rows) == 1:
				fmt.Fprintln(s.stdout, "no groups")
			default:
				table(s.stdout, rows)
			}
			return unseen
		},
	}
	c.Flags().StringVar(&q.Topic, "topic", "", "only this `topic`, with or without the namespace")
	c.Flags().StringSliceVar(&q.Groups, "group", nil, "only these `groups` (repeatable)")
	return c
}

func (s *session) groupRemove() *cobra.Command {
	var topic, group string
	var force, dryRun bool
	c := &cobra.Command{
		Use: "rm", Short: "Delete the queues of a group", Args: noArguments,
		Long:    `Rm deletes the queue of a group and its queue of dead letters. It refuses to when the group has consumers, messages or dead letters.`,
		Example: `  async group rm --topic acme.orders.v1.OrderEvents.Placed --group old-billing`,
		RunE: func(c *cobra.Command, _ []string) error {
			if topic == "" || group == "" {
				return usage("which group? Write --topic <topic> --group <group>; async group ls lists them")
			}
			states, err := s.find(c.Context(), place.Query{Topic: topic, Groups: []string{group}})
			if err != nil {
				return err
			}
			removed := false
			for _, state := range states {
				if state.Group != group {
					continue
				}
				removed = true
				if err := s.removeGroup(c.Context(), state, force, dryRun); err != nil {
					return err
				}
			}
			if !removed {
				return fmt.Errorf("group %s of %s has no queues on this broker; async group ls lists those that are there", group, topic)
			}
			return nil
		},
	}
	c.Flags().StringVar(&topic, "topic", "", "the `topic`, with or without the namespace")
	c.Flags().StringVar(&group, "group", "", "the `group`")
	c.Flags().BoolVar(&force, "force", false, "even with consumers, messages or dead letters, which are lost")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	return c
}

func (s *session) removeGroup(ctx context.Context, state place.State, force, dryRun bool) error {
	remover, ok := state.Transport.(transport.Remover)
	if !ok {
		return fmt.Errorf("%s cannot delete queues; do it with the broker's own tools", state.Transport.Capabilities().System)
	}
	r := newGroupRecord(state)
	if !force && (r.Ready > 0 || r.Delayed > 0 || r.Consumers > 0 || r.Dead > 0) {
		return fmt.Errorf("%s is in use: %s, %s, %s; stop the consumers, replay or drop the dead letters, or write --force and lose what is there",
			state.Name(), plural(r.Ready+r.Delayed, "message"), plural(r.Consumers, "consumer"), letters(r.Dead))
	}
	var errs []error
	for _, q := range []*transport.QueueInfo{state.GroupQueue, state.DeadQueue} {
		if q == nil {
			continue
		}
		if dryRun {
			fmt.Fprintf(s.stdout, "would delete %s\n", q.Name)
			continue
		}
		lost, err := remover.Remove(ctx, q.Name, force)
		switch {
		case err != nil:
			errs = append(errs, err)
		case lost > 0:
			fmt.Fprintf(s.stdout, "deleted %s with %s\n", q.Name, plural(lost, "message"))
		default:
			fmt.Fprintf(s.stdout, "deleted %s\n", q.Name)
		}
	}
	return errors.Join(errs...)
}

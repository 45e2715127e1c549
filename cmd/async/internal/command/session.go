package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/cmd/async/internal/schema"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport" // amqp and amqps URLs
)

// session is one run of the tool: its flags, its output, and the broker once it is open.
type session struct {
	stdout, stderr io.Writer

	url, config, namespace, descriptors string
	apps                                []string
	json                                bool

	runtime *async.Runtime
	schema  *schema.Schema
}

func (s *session) flags(f *pflag.FlagSet) {
	f.StringVar(&s.url, "url", "", "broker, as `URL` or as the name of a transport in --config (default $ASYNC_TRANSPORT)")
	f.StringVar(&s.config, "config", "", "configuration `file` of the services, usually async.yaml")
	f.StringVar(&s.namespace, "namespace", "", "`prefix` of all topics (default that of --config)")
	f.StringSliceVar(&s.apps, "app", nil, "look up the events of these `names`, too (repeatable; default the app of --config)")
	f.StringVar(&s.descriptors, "descriptors", "", "descriptor set `file`: buf build -o descriptors.binpb")
	f.BoolVar(&s.json, "json", false, "write JSON, one object a line")
}

// open reads the descriptors and connects to the broker.
func (s *session) open(ctx context.Context) error {
	if s.url == "" && s.config == "" && os.Getenv("ASYNC_TRANSPORT") == "" {
		return usage("which broker? Write --url amqp://user@host:5672/vhost or --config async.yaml, or set ASYNC_TRANSPORT")
	}
	if s.descriptors != "" {
		var err error
		if s.schema, err = schema.Load(s.descriptors); err != nil {
			return err
		}
		for _, line := range s.schema.Warnings() {
			fmt.Fprintf(s.stderr, "async: note: %s\n", line)
		}
	}
	opts := []async.Option{async.WithNamespace(s.namespace)}
	if s.url != "" {
		opts = append(opts, async.WithURL(s.url))
	}
	if s.config != "" {
		opts = append(opts, async.WithConfigFile(s.config))
	}
	var err error
	if s.runtime, err = async.Open(ctx, opts...); err != nil {
		return fmt.Errorf("%w; --url, ASYNC_TRANSPORT or --config says which broker it is", err)
	}
	return nil
}

func (s *session) close() error {
	if s.runtime == nil {
		return nil
	}
	if err := s.runtime.Close(); err != nil {
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}

// find opens the broker and looks up the places that q asks for; the ones that do not exist are left out. With
// [transport.ErrNotCounted] it returns those that could be looked into beside the error.
func (s *session) find(ctx context.Context, q place.Query) ([]place.State, error) {
	if q.Queue != "" && (q.Topic != "" || len(q.Groups) > 0) {
		return nil, usage("--queue names one queue of dead letters; leave --topic and --group out, or --queue")
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	q.Apps = s.apps
	found, err := place.Finder{Runtime: s.runtime, Schema: s.schema}.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, topic := range found.Skipped {
		fmt.Fprintf(s.stderr, "async: note: %s is an event and was not looked up; name the applications that subscribe with --app\n", topic)
	}
	states, unseen := place.Look(ctx, found.Places)
	if unseen != nil && !errors.Is(unseen, transport.ErrNotCounted) {
		return nil, unseen
	}
	var there []place.State
	for _, state := range states {
		switch {
		case state.GroupQueue != nil || state.DeadQueue != nil:
			there = append(there, state)
		case found.Explicit && state.Queue() == "":
			return nil, fmt.Errorf("the queue %s does not exist on this broker; check its name", state.Dead)
		case found.Explicit:
			return nil, fmt.Errorf("neither the queue %s nor %s exists on this broker; check --topic, --group and --namespace", state.Queue(), state.Dead)
		}
	}
	return there, unseen
}

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"time"

	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// place is the flags that producers and consumers share.
type place struct {
	url, config, namespace, app, stream, journal, gauges string
	log                                                  bool
}

// usualURL is the broker where neither a URL nor a configuration is given.
const usualURL = "amqp://guest:guest@127.0.0.1:5672/"

func (p *place) flags(f *flag.FlagSet) {
	f.StringVar(&p.url, "url", "", "the broker; default that of --config, else "+usualURL)
	f.StringVar(&p.config, "config", "", "the file with your application's configuration: broker, credentials, TLS, bindings; default none")
	f.StringVar(&p.namespace, "namespace", "faults", "the prefix of topics and queues")
	f.StringVar(&p.app, "app", "faults", "the group that handles ordered messages")
	f.StringVar(&p.stream, "stream", "commands", "commands (unordered) or ordered (by key)")
	f.StringVar(&p.journal, "journal", "", "the file to write to; it is continued if it is there")
	f.StringVar(&p.gauges, "gauges", "", "a file to write goroutines, heap and descriptors to, every 5 s; default none")
	f.BoolVar(&p.log, "log", false, "log to standard error, from the level debug on")
}

// options say where the broker is.
func (p *place) options() []async.Option {
	opts := []async.Option{async.WithNamespace(p.namespace), async.WithApp(p.app)}
	if p.config != "" {
		opts = append(opts, async.WithConfigFile(p.config))
	}
	if p.url != "" || p.config == "" {
		opts = append(opts, async.WithURL(cmp.Or(p.url, usualURL)))
	}
	return opts
}

// open opens what a process needs; the caller closes both.
func (p *place) open(ctx context.Context, stderr io.Writer, opts ...async.Option) (load.Stream, *journal.Writer, *async.Runtime, error) {
	stream, err := load.ParseStream(p.stream)
	if err != nil {
		return "", nil, nil, err
	}
	if p.journal == "" {
		return "", nil, nil, errors.New("--journal is missing; write the path of a file")
	}
	j, err := journal.Open(p.journal)
	if err != nil {
		return "", nil, nil, err
	}
	logger := slog.New(slog.DiscardHandler)
	if p.log {
		logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	rt, err := async.Open(ctx, append(append(p.options(), async.WithLogger(logger)), opts...)...)
	if err != nil {
		return "", nil, nil, errors.Join(err, j.Close())
	}
	return stream, j, rt, nil
}

// measure writes down what the process has in use until ctx ends, and then tells how that went.
func (p *place) measure(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if p.gauges == "" {
		done <- nil
		return done
	}
	go func() { done <- load.Measure(ctx, p.gauges) }()
	return done
}

func produce(ctx context.Context, args []string, _, stderr io.Writer) error {
	var where place
	var p load.Producer
	var length time.Duration
	f := flag.NewFlagSet("produce", flag.ContinueOnError)
	f.SetOutput(stderr)
	where.flags(f)
	f.StringVar(&p.Run, "run", "run", "the first part of every id; letters and digits")
	f.IntVar(&p.Keys, "keys", 64, "how many keys there are, each with its own sequence")
	f.IntVar(&p.Writers, "writers", 16, "how many goroutines send, one message at a time each")
	f.IntVar(&p.Rate, "rate", 1000, "how many messages are sent a second at most")
	f.IntVar(&p.Count, "count", 0, "end after so many messages; 0 is no end")
	f.IntVar(&p.Size, "size", 64, "about how many bytes a command has")
	f.IntVar(&p.Spoilt.Every, "spoil", 0, "send one command in so many of each key so that nobody can decode it; 0 is none")
	f.DurationVar(&p.SendTimeout, "send-timeout", 2*time.Second, "how long one send may take")
	f.DurationVar(&length, "for", 0, "end after this time; 0 is no end")
	if err := f.Parse(args); err != nil {
		return err
	}
	if length > 0 {
		bounded, cancel := context.WithTimeout(ctx, length)
		defer cancel()
		ctx = bounded
	}
	stream, j, rt, err := where.open(ctx, stderr)
	if err != nil {
		return err
	}
	p.Stream, p.Journal, p.Path = stream, j, where.journal
	measuring, stop := context.WithCancel(ctx)
	measured := where.measure(measuring)
	err = p.Produce(ctx, rt)
	stop()
	return errors.Join(err, <-measured, rt.Close(), j.Write(journal.Entry{Kind: journal.Ended}), j.Close())
}

func consume(ctx context.Context, args []string, _, stderr io.Writer) error {
	var where place
	var c load.Consumer
	var workers int
	var drain time.Duration
	f := flag.NewFlagSet("consume", flag.ContinueOnError)
	f.SetOutput(stderr)
	where.flags(f)
	f.DurationVar(&c.Handling, "handling", 0, "how long the handler works on a message")
	f.IntVar(&c.Poison.Every, "poison", 0, "one message in so many of each key is poison; 0 is none")
	f.IntVar(&c.Poison.Most, "poison-most", 0, "only the first one of so many keys is poison; 0 is no bound")
	harm := f.String("harm", string(load.HarmError), "what poison does to the handler: error, panic, goexit, exit (of the process), or hang")
	f.IntVar(&workers, "workers", 16, "how many messages are handled at once")
	f.DurationVar(&drain, "drain", 30*time.Second, "how long handlers may finish after SIGTERM")
	if err := f.Parse(args); err != nil {
		return err
	}
	does, err := load.ParseHarm(*harm)
	if err != nil {
		return err
	}
	stream, j, rt, err := where.open(ctx, stderr, async.WithConcurrency(workers), async.WithDrainTimeout(drain))
	if err != nil {
		return err
	}
	c.Stream, c.Journal, c.Harm = stream, j, does
	measuring, stop := context.WithCancel(ctx)
	measured := where.measure(measuring)
	err = c.Consume(ctx, rt)
	stop()
	return errors.Join(err, <-measured, rt.Close(), j.Write(journal.Entry{Kind: journal.Ended}), j.Close())
}

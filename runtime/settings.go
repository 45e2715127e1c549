package async

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/asyncpb/async/runtime/internal/config"
)

// settings is what is in force for one rpc, all questions answered.
type settings struct {
	transport       string
	concurrency     int
	timeout         time.Duration
	codec           Codec
	maxMessageBytes int64
	compressAbove   int64 // 0 is never
	sendTimeout     time.Duration
	ttl             time.Duration
	retry           retry
	deadDisabled    bool
	deadTopic       string
}

type retry struct {
	immediate, maxAttempts int
	minBackoff, maxBackoff time.Duration
	multiplier, jitter     float64
}

// delay is the pause after the failure of the given attempt.
func (r retry) delay(attempt int) time.Duration {
	d := float64(r.minBackoff) * math.Pow(r.multiplier, float64(attempt-1))
	d = min(d, float64(r.maxBackoff))
	return time.Duration(d * (1 - r.jitter*rand.Float64()))
}

// builtIn is the last place that is asked.
func builtIn() config.Settings {
	return config.Settings{
		Concurrency:     new(16),
		Timeout:         new(30 * time.Second),
		Codec:           new("protobuf"),
		MaxMessageBytes: new(int64(1 << 20)),
		CompressAbove:   new(int64(0)),
		SendTimeout:     new(30 * time.Second),
		TTL:             new(time.Duration(0)),
		Retry: config.Retry{
			Immediate:   new(uint32(0)),
			MaxAttempts: new(uint32(8)),
			MinBackoff:  new(time.Second),
			MaxBackoff:  new(5 * time.Minute),
			Multiplier:  new(2.0),
			Jitter:      new(1.0),
		},
		DeadLetter: config.DeadLetter{Disabled: new(false), Topic: new("")},
	}
}

// annotated is what the contract says, in the form of the configuration.
func annotated(s *Spec) config.Settings {
	var c config.Settings
	if s.Timeout > 0 {
		c.Timeout = new(s.Timeout)
	}
	c.TTL = s.Policy.TTL
	c.Retry = config.Retry(s.Policy.Retry)
	c.DeadLetter.Disabled = s.Policy.DeadLetter.Disabled
	if s.Policy.DeadLetter.Topic != "" {
		c.DeadLetter.Topic = new(s.Policy.DeadLetter.Topic)
	}
	return c
}

// settingsOf merges by precedence: rpc binding > service binding > annotations > defaults > built in.
func (rt *Runtime) settingsOf(s *Spec) settings {
	c := builtIn().Merge(rt.config.Defaults).Merge(annotated(s)).Merge(rt.config.Find(s.Service, s.Method))
	out := settings{
		concurrency:     *c.Concurrency,
		timeout:         *c.Timeout,
		maxMessageBytes: *c.MaxMessageBytes,
		compressAbove:   *c.CompressAbove,
		sendTimeout:     *c.SendTimeout,
		ttl:             *c.TTL,
		retry: retry{
			immediate:   int(*c.Retry.Immediate),
			maxAttempts: int(*c.Retry.MaxAttempts),
			minBackoff:  *c.Retry.MinBackoff,
			maxBackoff:  *c.Retry.MaxBackoff,
			multiplier:  *c.Retry.Multiplier,
			jitter:      *c.Retry.Jitter,
		},
		deadDisabled: *c.DeadLetter.Disabled,
		deadTopic:    *c.DeadLetter.Topic,
	}
	if *c.Codec == "protojson" {
		out.codec = ProtoJSON
	}
	if c.Transport != nil {
		out.transport = *c.Transport
	}
	return out
}

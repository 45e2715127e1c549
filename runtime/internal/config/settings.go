package config

import "time"

// Settings is what can be tuned for an rpc, a service or everything. A nil field says nothing.
type Settings struct {
	// Transport is a name under transports, or [HTTP].
	Transport *string
	// Concurrency is how many deliveries of a binding are handled at once; 1 to 65535.
	Concurrency *int
	// Timeout bounds a request; above 0.
	Timeout *time.Duration
	// Codec is "protobuf" or "protojson".
	Codec *string
	// MaxMessageBytes is the largest payload; 1 to 2 GiB - 1.
	MaxMessageBytes *int64
	// CompressAbove is the size from which payloads are compressed; 0 is never.
	CompressAbove *int64
	// SendTimeout bounds a send; above 0.
	SendTimeout *time.Duration
	// TTL is how long a message is worth handling; 0 is for ever.
	TTL *time.Duration
	// Retry says how often and how soon a failed message is tried again.
	Retry Retry
	// DeadLetter says what becomes of a message that failed for good.
	DeadLetter DeadLetter
}

// Retry says how often and how soon a failed message is tried again. A nil field says nothing.
type Retry struct {
	// Immediate is how many times it is tried again at once; MaxAttempts counts handler calls and is at least 1.
	Immediate, MaxAttempts *uint32
	// MinBackoff is the delay after the first failure; MaxBackoff bounds the delay.
	MinBackoff, MaxBackoff *time.Duration
	// Multiplier grows the delay and is at least 1; Jitter is the random share of it, 0 to 1.
	Multiplier, Jitter *float64
}

// DeadLetter says what becomes of a message that failed for good. A nil field says nothing.
type DeadLetter struct {
	// Disabled drops it.
	Disabled *bool
	// Topic is a logical topic in place of the group's own dead-letter queue.
	Topic *string
}

// Merge returns s with every field that over gives replaced by over's.
func (s Settings) Merge(over Settings) Settings {
	return Settings{
		Transport:       latest(s.Transport, over.Transport),
		Concurrency:     latest(s.Concurrency, over.Concurrency),
		Timeout:         latest(s.Timeout, over.Timeout),
		Codec:           latest(s.Codec, over.Codec),
		MaxMessageBytes: latest(s.MaxMessageBytes, over.MaxMessageBytes),
		CompressAbove:   latest(s.CompressAbove, over.CompressAbove),
		SendTimeout:     latest(s.SendTimeout, over.SendTimeout),
		TTL:             latest(s.TTL, over.TTL),
		Retry: Retry{
			Immediate:   latest(s.Retry.Immediate, over.Retry.Immediate),
			MaxAttempts: latest(s.Retry.MaxAttempts, over.Retry.MaxAttempts),
			MinBackoff:  latest(s.Retry.MinBackoff, over.Retry.MinBackoff),
			MaxBackoff:  latest(s.Retry.MaxBackoff, over.Retry.MaxBackoff),
			Multiplier:  latest(s.Retry.Multiplier, over.Retry.Multiplier),
			Jitter:      latest(s.Retry.Jitter, over.Retry.Jitter),
		},
		DeadLetter: DeadLetter{
			Disabled: latest(s.DeadLetter.Disabled, over.DeadLetter.Disabled),
			Topic:    latest(s.DeadLetter.Topic, over.DeadLetter.Topic),
		},
	}
}

func latest[T any](under, over *T) *T {
	if over != nil {
		return over
	}
	return under
}

func (r Retry) inverted() bool {
	return r.MinBackoff != nil && r.MaxBackoff != nil && *r.MinBackoff > *r.MaxBackoff
}

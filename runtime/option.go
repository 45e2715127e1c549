package async

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// Option configures a runtime in [Open].
type Option interface{ applyRuntime(*runtimeOptions) }

// PublisherOption configures a publisher.
type PublisherOption interface{ applyPublisher(*publisherOptions) }

// ClientOption configures a client.
type ClientOption interface{ applyClient(*publisherOptions) }

// SubscribeOption configures a subscription.
type SubscribeOption interface{ applySubscribe(*subscribeOptions) }

// SendOption configures one send.
type SendOption interface{ applySend(*sendOptions) }

type runtimeOptions struct {
	configFile   string
	url          string
	transport    transport.Transport
	app          string
	namespace    string
	logger       *slog.Logger
	interceptors []Interceptor
	middleware   []message.HandlerMiddleware
	validate     func(proto.Message) error
	sendError    SendErrorFunc
	drain        time.Duration
	concurrency  int
	telemetry    Telemetry
}

type publisherOptions struct{ interceptors []Interceptor }

type subscribeOptions struct {
	group        string
	broadcast    bool
	concurrency  int
	batch        int
	linger       time.Duration
	trace        TraceMode
	interceptors []Interceptor
}

type sendOptions struct {
	id        string
	key       string
	hasKey    bool
	delay     time.Duration
	hasDelay  bool
	deliverAt time.Time
	ttl       time.Duration
	headers   Headers
	noWait    bool
	err       error
}

func (o *sendOptions) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

type optionFunc func(*runtimeOptions)

func (f optionFunc) applyRuntime(o *runtimeOptions) { f(o) }

type subscribeFunc func(*subscribeOptions)

func (f subscribeFunc) applySubscribe(o *subscribeOptions) { f(o) }

type sendFunc func(*sendOptions)

func (f sendFunc) applySend(o *sendOptions) { f(o) }

// checkNames refuses names that every queue would begin with, or be called after. Those of a file were checked where they stand.
func (o *runtimeOptions) checkNames() error {
	if o.app != "" {
		if err := checkName("app", o.app, maxGroupBytes); err != nil {
			return err
		}
	}
	if o.namespace != "" {
		return checkName("namespace", o.namespace, maxTopicBytes)
	}
	return nil
}

// WithConfigFile reads the configuration from a YAML file; docs/config.md lists its keys. By default there is none.
func WithConfigFile(path string) Option {
	return optionFunc(func(o *runtimeOptions) { o.configFile = path })
}

// WithURL chooses the transport by URL. It wins over ASYNC_TRANSPORT and the configuration. By default "memory://", with
// a warning that nothing is kept.
func WithURL(url string) Option { return optionFunc(func(o *runtimeOptions) { o.url = url }) }

// WithTransport uses an opened transport for everything. It wins over [WithURL], ASYNC_TRANSPORT and the configuration.
// The runtime owns it from then on and closes it.
func WithTransport(t transport.Transport) Option {
	return optionFunc(func(o *runtimeOptions) { o.transport = t })
}

// WithApp names the application: the group of its event subscriptions and the CloudEvents source of what it sends. It wins
// over the configuration's app. By default there is none, and an event subscription needs [WithGroup].
func WithApp(name string) Option { return optionFunc(func(o *runtimeOptions) { o.app = name }) }

// WithNamespace puts "<namespace>." in front of every physical name. It wins over the configuration's namespace. By
// default there is none.
func WithNamespace(name string) Option {
	return optionFunc(func(o *runtimeOptions) { o.namespace = name })
}

// WithLogger sets the logger. By default nothing is logged.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *runtimeOptions) { o.logger = l }) }

// WithDrainTimeout bounds how long a drain waits for handlers, default 30 s. It wins over shutdown.drain_timeout.
func WithDrainTimeout(d time.Duration) Option {
	return optionFunc(func(o *runtimeOptions) { o.drain = d })
}

// WithWatermillMiddleware wraps each delivery on its wire form in Watermill's middlewares, the first outermost. What a
// middleware returns is honoured: an error is the verdict, an Ack or Nack of the message overrules it, and produced
// messages are sent before the delivery is settled: the reply of a request to its caller, any other to the topic that the
// message names in its metadata as "async-produce-topic"; a message that names none is an error.
func WithWatermillMiddleware(m ...message.HandlerMiddleware) Option {
	return optionFunc(func(o *runtimeOptions) { o.middleware = append(o.middleware, m...) })
}

// WithValidator checks every message with v: before it is sent (the error wraps [ErrInvalid]) and before it is handled (an
// invalid message is dead-lettered at once; an invalid request is answered with [CodeInvalidArgument]). It takes the Validator of
// buf.build/go/protovalidate as it is.
func WithValidator[O any](v interface {
	Validate(msg proto.Message, opts ...O) error
},
) Option {
	return optionFunc(func(o *runtimeOptions) {
		o.validate = func(m proto.Message) error { return v.Validate(m) }
	})
}

// SendErrorFunc sees an asynchronous send that failed. It must not block.
type SendErrorFunc func(spec *Spec, messageID string, err error)

// WithSendErrorFunc calls f for every asynchronous send that fails after it was taken, beside its receipt. By default such
// failures are in the receipt only.
func WithSendErrorFunc(f SendErrorFunc) Option {
	return optionFunc(func(o *runtimeOptions) { o.sendError = f })
}

type interceptorsOption []Interceptor

func (i interceptorsOption) applyRuntime(o *runtimeOptions) {
	o.interceptors = append(o.interceptors, i...)
}

func (i interceptorsOption) applyPublisher(o *publisherOptions) {
	o.interceptors = append(o.interceptors, i...)
}
func (i interceptorsOption) applyClient(o *publisherOptions) { i.applyPublisher(o) }
func (i interceptorsOption) applySubscribe(o *subscribeOptions) {
	o.interceptors = append(o.interceptors, i...)
}

// WithInterceptors adds interceptors: to a runtime for everything, to one publisher or client, or to one subscription.
// Those of the runtime are outside.
func WithInterceptors(i ...Interceptor) interface {
	Option
	PublisherOption
	ClientOption
	SubscribeOption
} {
	return interceptorsOption(i)
}

type concurrencyOption int

func (c concurrencyOption) applyRuntime(o *runtimeOptions)     { o.concurrency = int(c) }
func (c concurrencyOption) applySubscribe(o *subscribeOptions) { o.concurrency = int(c) }

// WithConcurrency bounds how many deliveries of a binding are handled at once, or how many pulled ones may be unsettled.
// Default 16; for batch handlers 1, counted in batches. As a subscription's option it wins over the configuration.
//
// A handler that is called has up to 16 deliveries fetched for each of these, and never more than 1000: a low concurrency
// also keeps slow work from waiting for one consumer while another one is idle.
func WithConcurrency(n int) interface {
	Option
	SubscribeOption
} {
	return concurrencyOption(n)
}

// WithGroup sets the group of an event subscription: the consumers of one group share its messages, and every group gets
// all of them. By default the group is the application's name. The group of commands and requests is contract and not an
// option.
func WithGroup(name string) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.group = name })
}

// WithBroadcast gives this process a private, temporary group: every process gets every event, from its start to its end.
// Its dead letters are dropped, counted and logged, unless dead_letter.topic names a queue for them.
func WithBroadcast() SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.broadcast = true })
}

// WithBatch sets when a batch handler is called: with max deliveries, or with fewer when linger has passed since the first.
// Default 100 and 100 ms. At most 1000.
func WithBatch(maximum int, linger time.Duration) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.batch, o.linger = maximum, linger })
}

// WithKey sets the ordering key: text of at most 256 bytes without control characters. It wins over the annotated field.
func WithKey(key string) SendOption {
	return sendFunc(func(o *sendOptions) { o.key, o.hasKey = key, true })
}

// WithDelay keeps the message from its consumers for at least d, at most 7 days: more is [ErrTooLarge]. Refused on requests, where
// the transport cannot, and beside [WithDeliverAt].
func WithDelay(d time.Duration) SendOption {
	return sendFunc(func(o *sendOptions) {
		o.delay, o.hasDelay = d, true
		if d < 0 {
			o.fail("%w: WithDelay(%s): use 0 to %s", ErrInvalid, d, maxDelay)
		}
		if err := checkDelay("WithDelay", d); err != nil {
			o.fail("%w", err)
		}
	})
}

const maxDelay = 7 * 24 * time.Hour

// checkDelay refuses a delay over the limit.
func checkDelay(option string, d time.Duration) error {
	if d > maxDelay {
		return fmt.Errorf("%w: %s delays for %s, the limit is %s", ErrTooLarge, option, d, maxDelay)
	}
	return nil
}

// WithDeliverAt is [WithDelay] until t; a time that has passed is no delay. What is too far away is known when the message is sent.
func WithDeliverAt(t time.Time) SendOption {
	return sendFunc(func(o *sendOptions) { o.deliverAt = t })
}

// WithTTL sets how long the message is worth handling, from now (or from the end of its delay). It wins over the policy's
// ttl. What is not handled by then is dropped and counted.
func WithTTL(d time.Duration) SendOption {
	return sendFunc(func(o *sendOptions) {
		o.ttl = d
		if d <= 0 {
			o.fail("%w: WithTTL(%s): use a positive duration", ErrInvalid, d)
		}
	})
}

// WithMessageID sets the message id: letters, digits, '_' and '-', at most 64. It wins over the annotated field. By default
// it is a fresh UUIDv7. Sending again with the same id marks a duplicate as one.
func WithMessageID(id string) SendOption {
	return sendFunc(func(o *sendOptions) {
		o.id = id
		if err := checkMessageID(id); err != nil {
			o.fail("WithMessageID: %w", err)
		}
	})
}

func checkMessageID(id string) error {
	if len(id) > maxIDBytes {
		return fmt.Errorf("%w: the message id has %d bytes, the limit is %d", ErrTooLarge, len(id), maxIDBytes)
	}
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fmt.Errorf("%w: message id %q: use letters, digits, '_' and '-', 1 to %d of them", ErrInvalid, sanitize(id), maxIDBytes)
	}
	return nil
}

// WithHeader adds a user header; see [Headers]. Given more than once, a name has several values.
func WithHeader(name, value string) SendOption {
	return sendFunc(func(o *sendOptions) {
		if o.headers == nil {
			o.headers = make(Headers)
		}
		o.headers.Add(name, value)
	})
}

// WithNoWait refuses with [ErrBacklog] instead of waiting for a place in the window of unconfirmed sends.
func WithNoWait() SendOption { return sendFunc(func(o *sendOptions) { o.noWait = true }) }

// Each sets options for each message of a batch: f gets the message's index. It means nothing outside a batch.
func Each(f func(i int) []SendOption) SendOption { return eachOption(f) }

type eachOption func(i int) []SendOption

func (eachOption) applySend(*sendOptions) {}

func collectSend(opts []SendOption) sendOptions {
	if len(opts) == 0 {
		return sendOptions{}
	}
	o := new(sendOptions)
	for _, opt := range opts {
		opt.applySend(o)
	}
	if o.hasDelay && !o.deliverAt.IsZero() {
		o.fail("%w: WithDelay and WithDeliverAt exclude each other: use one of them", ErrInvalid)
	}
	return *o
}

// background is the context of work that outlives every caller.
func background(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

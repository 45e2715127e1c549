package amqptransport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

	"github.com/asyncpb/async/runtime/transport"
)

// The options and their defaults.
const (
	optionHeartbeat = "heartbeat"
	optionWindow    = "window"
	optionChannels  = "channels"
	optionQueueType = "queue_type"

	defaultHeartbeat = 10 * time.Second
	defaultWindow    = 1024
	defaultChannels  = 4
	maxChannels      = 256

	queueQuorum  = "quorum"
	queueClassic = "classic"

	exchangeTopic = "topic"
	bindAll       = "#"

	defaultPort    = "5672"
	defaultTLSPort = "5671"
)

// Option changes what [Open] opens.
type Option interface{ apply(*settings) }

type configOption func(*wamqp.Config)

func (o configOption) apply(s *settings) { s.configure = append(s.configure, o) }

// WithConfig lets f change watermill-amqp's configuration, which comes filled with what this transport does by
// itself. f is called once, by [Open]. These fields count:
//
//   - Connection.TLSConfig, for amqps, in place of the TLS files. Connection.AmqpConfig: SASL, ChannelMax, FrameSize,
//     Heartbeat, Properties, Locale, Vhost, TLSClientConfig and Dial. Connection.Reconnect: the first and the longest
//     interval and the multiplier; the pauses always have full jitter, whatever the randomization factor says.
//   - Marshaler, in place of [Marshaler]; what its Unmarshal refuses goes through ours. Headers of an earlier
//     dead-letter hop are taken away from what its Marshal returns.
//   - Exchange: all but NoWait. An empty name means the default exchange, which is not declared.
//   - Queue: Durable, AutoDelete and Exclusive, for the queues of groups. GenerateName is nil, which means
//     <topic>--<group>; a function of your own sees the topic only, so that a topic can have only one group then.
//     Arguments are nil, which means those of the package documentation; your own replace them all.
//   - QueueBind: GenerateRoutingKey and Arguments.
//   - Publish: Mandatory makes every publication mandatory. GenerateRoutingKey is nil, which means the publication's
//     own routing key.
//   - Consume: Consumer, Exclusive, Arguments; Qos.PrefetchCount in place of the subscription's prefetch.
//   - TopologyBuilder makes exchange, queue and binding of a topic and group.
//
// All other fields must stay as they are: Open refuses a configuration that sets them, naming the field.
func WithConfig(f func(*wamqp.Config)) Option { return configOption(f) }

// settings is everything that is decided before the first connection.
type settings struct {
	addresses []string
	secure    bool
	heartbeat time.Duration
	window    int
	channels  int
	queueType string
	declare   transport.Declare
	pace      pace
	config    wamqp.Config
	configure []configOption
	plain     bool // watermill-amqp's configuration is all that there is
}

// native reports whether the wire format is this package's own.
func (s *settings) native() bool {
	_, own := s.config.Marshaler.(Marshaler)
	return own
}

func newSettings(c transport.Config, opts []Option) (*settings, error) {
	s := &settings{
		secure:    c.URL.Scheme == "amqps",
		heartbeat: defaultHeartbeat,
		window:    defaultWindow,
		channels:  defaultChannels,
		queueType: queueQuorum,
		declare:   c.Declare,
		pace:      pace{first: 100 * time.Millisecond, last: 10 * time.Second, growth: 2},
		config: wamqp.Config{
			Marshaler:       Marshaler{},
			Exchange:        wamqp.ExchangeConfig{GenerateName: wamqp.GenerateExchangeNameTopicName, Type: exchangeTopic, Durable: true},
			Queue:           wamqp.QueueConfig{Durable: true},
			QueueBind:       wamqp.QueueBindConfig{GenerateRoutingKey: func(string) string { return bindAll }},
			Publish:         wamqp.PublishConfig{ConfirmDelivery: true},
			TopologyBuilder: &wamqp.DefaultTopologyBuilder{},
		},
	}
	for _, o := range opts {
		o.apply(s)
	}
	for _, f := range s.configure {
		f(&s.config)
	}
	if s.declare == "" {
		s.declare = transport.DeclareCreate
	}
	errs := []error{s.readAddresses(c), s.readOptions(c.Options), checkConfig(&s.config)}
	switch s.declare {
	case transport.DeclareCreate, transport.DeclareVerify, transport.DeclareNone:
	default:
		errs = append(errs, fmt.Errorf("declare: %q is unknown; write create, verify or none", s.declare))
	}
	if r := s.config.Connection.Reconnect; r != nil {
		if r.BackoffInitialInterval <= 0 || r.BackoffMaxInterval < r.BackoffInitialInterval || r.BackoffMultiplier < 1 {
			errs = append(errs, errors.New("Connection.Reconnect: the intervals must be positive and ordered, the multiplier at least 1"))
		}
		s.pace = pace{first: r.BackoffInitialInterval, last: r.BackoffMaxInterval, growth: r.BackoffMultiplier}
	}
	return s, errors.Join(errs...)
}

func (s *settings) readAddresses(c transport.Config) error {
	port := defaultPort
	if s.secure {
		port = defaultTLSPort
	}
	for host := range strings.SplitSeq(c.URL.Host, ",") {
		if host == "" {
			return errors.New(`the amqp URL names no host; write "amqp://host:5672/vhost"`)
		}
		name, number, err := net.SplitHostPort(host)
		if err != nil {
			name, number = strings.Trim(host, "[]"), port
		}
		if !s.secure {
			if c.TLS != nil || s.config.Connection.TLSConfig != nil {
				return errors.New(`a TLS configuration beside "amqp://" would not be used: write "amqps://"`)
			}
			if !c.Insecure && !loopback(name) {
				return fmt.Errorf(`plain text to %q is refused: write "amqps://", or allow it with insecure: true`, name)
			}
		}
		s.addresses = append(s.addresses, net.JoinHostPort(name, number))
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (s *settings) readOptions(options map[string]string) error {
	errs := []error{transport.UnknownOptions(options, optionChannels, optionHeartbeat, optionQueueType, optionWindow)}
	if text, set := options[optionHeartbeat]; set {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Second || d > time.Hour {
			errs = append(errs, fmt.Errorf("option heartbeat: %q is not a duration between 1s and 1h, such as 10s", text))
		}
		s.heartbeat = d
	}
	for _, count := range []struct {
		name  string
		value *int
		most  int
	}{{optionWindow, &s.window, 1 << 16}, {optionChannels, &s.channels, maxChannels}} {
		text, set := options[count.name]
		if !set {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > count.most {
			errs = append(errs, fmt.Errorf("option %s: %q is not a number from 1 to %d", count.name, text, count.most))
		}
		*count.value = n
	}
	if text, set := options[optionQueueType]; set {
		if text != queueQuorum && text != queueClassic {
			errs = append(errs, fmt.Errorf("option queue_type: %q is unknown; write quorum or classic", text))
		}
		s.queueType = text
	}
	return errors.Join(errs...)
}

// checkConfig refuses what cannot be honoured, field by field.
func checkConfig(c *wamqp.Config) error {
	var errs []error
	for _, field := range []struct {
		wrong bool
		what  string
	}{
		{c.Marshaler == nil, "Marshaler must not be nil"},
		{c.TopologyBuilder == nil, "TopologyBuilder must not be nil"},
		{c.Exchange.GenerateName == nil, "Exchange.GenerateName must not be nil"},
		{c.QueueBind.GenerateRoutingKey == nil, "QueueBind.GenerateRoutingKey must not be nil"},
		{c.Connection.AmqpURI != "", "Connection.AmqpURI must stay empty: the address is the transport's URL"},
		{
			c.Connection.AmqpConfig != nil && c.Connection.AmqpConfig.Recovery != nil,
			"Connection.AmqpConfig.Recovery must stay nil: the transport reconnects by itself",
		},
		{c.Publish.Transactional, "Publish.Transactional must stay false: a transaction hides the errors of its messages"},
		{!c.Publish.ConfirmDelivery, "Publish.ConfirmDelivery must stay true: without confirms a message can be lost without an error"},
		{c.Publish.ChannelPoolSize != 0, "Publish.ChannelPoolSize must stay 0: use the option channels"},
		{c.Publish.Immediate, "Publish.Immediate must stay false: RabbitMQ does not support it"},
		{c.Consume.NoRequeueOnNack, "Consume.NoRequeueOnNack must stay false: it would lose messages"},
		{c.Consume.NoLocal, "Consume.NoLocal must stay false: RabbitMQ does not support it"},
		{c.Consume.Qos.PrefetchSize != 0, "Consume.Qos.PrefetchSize must stay 0: RabbitMQ does not support it"},
		{c.Consume.Qos.PrefetchCount < 0 || c.Consume.Qos.PrefetchCount > maxPrefetch, "Consume.Qos.PrefetchCount must be between 0 and 65535"},
		{c.Consume.Qos.Global, "Consume.Qos.Global must stay false: quorum queues do not support it"},
		{c.Exchange.NoWait || c.Queue.NoWait || c.QueueBind.NoWait || c.Consume.NoWait, "NoWait must stay false: it hides errors"},
	} {
		if field.wrong {
			errs = append(errs, errors.New("WithConfig: "+field.what))
		}
	}
	return errors.Join(errs...)
}

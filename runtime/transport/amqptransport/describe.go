package amqptransport

import (
	"net"
	"strconv"
	"strings"

	"github.com/asyncpb/async/runtime/transport"
)

// Server implements [transport.Describer]: the first address of the URL.
func (t *Transport) Server() (address string, port int) {
	host, text, err := net.SplitHostPort(t.settings.addresses[0])
	if err != nil {
		return t.settings.addresses[0], 0
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return host, 0
	}
	return host, port
}

// SendDestination implements [transport.Describer]: "<exchange>:<routing key>" of where p ends. A delayed message is told by its
// target, not by the ladder of queues that it waits in.
func (t *Transport) SendDestination(p transport.Publication) transport.Destination {
	p.Delay = 0
	var s send
	if err := t.route(&s, p); err != nil {
		return transport.Destination{Name: p.Topic}
	}
	return transport.Destination{Name: destination(s.exchange, s.key), RoutingKey: s.key}
}

// ReceiveDestination implements [transport.Describer]: "<exchange>:<routing key>:<queue>". A message that comes back for
// another attempt is told like the first time, not by the way that it took.
func (t *Transport) ReceiveDestination(s transport.Subscription, routingKey string) transport.Destination {
	if s.Kind == transport.KindReply {
		return transport.Destination{Name: s.Topic, RoutingKey: s.Topic, Temporary: true, Anonymous: true}
	}
	d := transport.Destination{RoutingKey: routingKey, Temporary: s.Broadcast, Anonymous: s.Broadcast}
	d.Name = destination(t.settings.config.Exchange.GenerateName(s.Topic), routingKey, t.queueOf(s))
	return d
}

// destination joins exchange, routing key and queue as the conventions for RabbitMQ ask: without what is empty, and the
// same name once.
func destination(parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part != "" && (len(kept) == 0 || kept[len(kept)-1] != part) {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return "amq.default"
	}
	return strings.Join(kept, ":")
}

// DeliveryTag implements [transport.Tagged].
func (d *delivery) DeliveryTag() uint64 { return d.tag }

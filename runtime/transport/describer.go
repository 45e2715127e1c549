package transport

// Destination is where a message goes to or comes from, in the words of the transport's system. New fields may be added.
type Destination struct {
	// Name is the messaging.destination.name of traces: few different ones in the life of a program, unless Temporary.
	Name string
	// RoutingKey is RabbitMQ's.
	RoutingKey string
	// Temporary and Anonymous mark a name that was generated and goes away.
	Temporary, Anonymous bool
}

// Describer is an optional ability of a [Transport]: how traces and metrics name what it does. Without it a destination has
// the name of its topic or queue, and the server is unknown.
type Describer interface {
	// Server is the host and port of the broker; "" and 0 for none.
	Server() (address string, port int)
	// SendDestination is where p goes; a delay is no place.
	SendDestination(p Publication) Destination
	// ReceiveDestination is where the messages of s come from. routingKey is the ce-type that s takes.
	ReceiveDestination(s Subscription, routingKey string) Destination
}

// Tagged is an optional ability of a [Delivery].
type Tagged interface {
	// DeliveryTag is the broker's number of the delivery, as it is used to settle it.
	DeliveryTag() uint64
}

// DescribeSend returns where p goes, as t or else its names say.
func DescribeSend(t Transport, p Publication) Destination {
	if d, ok := t.(Describer); ok {
		return d.SendDestination(p)
	}
	if p.Group != "" && !p.Direct {
		return Destination{Name: QueueName(p.Topic, p.Group)}
	}
	return Destination{Name: p.Topic}
}

// DescribeReceive returns where the messages of s come from, as t or else its names say. A reply address is temporary.
func DescribeReceive(t Transport, s Subscription, routingKey string) Destination {
	if d, ok := t.(Describer); ok {
		return d.ReceiveDestination(s, routingKey)
	}
	return Destination{Name: s.Topic, Temporary: s.Kind == KindReply, Anonymous: s.Kind == KindReply}
}

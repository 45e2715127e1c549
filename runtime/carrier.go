package async

import (
	"github.com/asyncpb/async/runtime/internal/config"
	"github.com/asyncpb/async/runtime/transport"
)

// Carrier says where the messages of an rpc are. Operators' tools use it, which look into queues without a generated type
// at hand.
type Carrier struct {
	// Transport carries the rpc. The runtime owns and closes it. It is nil for an rpc that the configuration gives to
	// HTTP: that one has no queue.
	Transport transport.Transport
	// App is the group of this configuration's event subscriptions; empty if it names none.
	App string
	// DeadTopic is the physical name of the queue of dead letters that contract or configuration name; empty where
	// it is the group's own.
	DeadTopic string
	// MaxMessageBytes is the largest payload that is sent or received; 1 MiB unless configured.
	MaxMessageBytes int64

	namespace string
}

// Physical puts the namespace in front of a logical topic.
func (c Carrier) Physical(topic string) string {
	if c.namespace == "" {
		return topic
	}
	return c.namespace + "." + topic
}

// Carrier says where an rpc is, by the configuration that the runtime was opened with. rpc is "<package>.<Service>/<Rpc>",
// or empty for what no binding changes. deadTopic is the dead_letter.topic of the rpc's annotations, empty for none.
func (rt *Runtime) Carrier(rpc, deadTopic string) Carrier {
	service, method := config.Binding{Name: rpc}.Service()
	contract := config.Settings{}
	if deadTopic != "" {
		contract.DeadLetter.Topic = &deadTopic
	}
	s := builtIn().Merge(rt.config.Defaults).Merge(contract).Merge(rt.config.Find(service, method))
	c := Carrier{Transport: rt.defaultLink.transport, App: rt.app, MaxMessageBytes: *s.MaxMessageBytes, namespace: rt.namespace}
	if s.DeadLetter.Topic != nil && *s.DeadLetter.Topic != "" {
		c.DeadTopic = c.Physical(*s.DeadLetter.Topic)
	}
	if s.Transport == nil {
		return c
	}
	if l := rt.named(*s.Transport); l != nil {
		c.Transport = l.transport
	} else if *s.Transport == config.HTTP {
		c.Transport = nil
	}
	return c
}

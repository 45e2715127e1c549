package asyncotel

import (
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

// maxProduced is how many topics of a middleware are kept prepared.
const maxProduced = 256

// produced are the operations of the topics to which a Watermill middleware sends. There may be any number of those, so only some
// are kept, and metrics do not tell them apart.
type produced struct {
	mu      sync.Mutex
	byPlace map[producedPlace]*operation
}

type producedPlace struct{ topic, routingKey string }

// operation returns the one for a message that goes somewhere.
func (o *produced) operation(p *endpoint, to transport.Publication) *operation {
	at := producedPlace{to.Topic, to.RoutingKey}
	o.mu.Lock()
	known := o.byPlace[at]
	o.mu.Unlock()
	if known != nil {
		return known
	}
	made := p.prepare(operationPublish, sendType, trace.SpanKindProducer, transport.DescribeSend(p.Transport, to), false, nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byPlace) >= maxProduced {
		clear(o.byPlace)
	}
	if o.byPlace == nil {
		o.byPlace = make(map[producedPlace]*operation)
	}
	o.byPlace[at] = made
	return made
}

package async

import (
	"fmt"
	"sync"
)

// keyOrder keeps the unresolved sends of each key of an rpc that is ordered by key. When one of them fails, the later ones
// of its key fail too: they may be stored already, but to report them as sent would let the caller believe in an order that
// has a hole.
type keyOrder struct {
	mu   sync.Mutex
	open map[string][]*Receipt
}

func (k *keyOrder) add(key string, r *Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == nil {
		k.open = make(map[string][]*Receipt)
	}
	k.open[key] = append(k.open[key], r)
}

// resolve resolves r and, when it failed, what was sent after it under the same key.
func (k *keyOrder) resolve(key string, r *Receipt, err error) {
	k.mu.Lock()
	list := k.open[key]
	var later []*Receipt
	for i, other := range list {
		if other == r {
			switch {
			case err != nil:
				later = append(later, list[i+1:]...)
				list = list[:i]
			case i == 0:
				list = list[1:]
			default:
				list = append(list[:i:i], list[i+1:]...)
			}
			break
		}
	}
	if len(list) == 0 {
		delete(k.open, key)
	} else {
		k.open[key] = list
	}
	k.mu.Unlock()
	r.resolve(err)
	for _, other := range later {
		other.resolve(fmt.Errorf("%w: an earlier message of the same key failed: %w", ErrUnknown, err))
	}
}

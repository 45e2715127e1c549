package memorytransport

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/asyncpb/async/runtime/transport"
)

func init() { transport.Register("memory", Open) }

// named holds the brokers that URLs with a name share, with the number of their transports.
var named = struct {
	sync.Mutex
	brokers map[string]*shared
}{brokers: make(map[string]*shared)}

type shared struct {
	broker *Broker
	users  int
}

// Open is the [transport.Opener] of the scheme "memory".
func Open(_ context.Context, c transport.Config) (transport.Transport, error) {
	if err := transport.UnknownOptions(c.Options, "capacity"); err != nil {
		return nil, fmt.Errorf("memory transport: %w", err)
	}
	if c.Username != "" || !c.Password.Empty() || c.TLS != nil || strings.Trim(c.URL.Path, "/") != "" {
		return nil, errors.New(`memory transport: it has no user, password, path or TLS; write "memory://" or "memory://<name>"`)
	}
	capacity := DefaultCapacity
	if text, set := c.Options["capacity"]; set {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("memory transport: the option capacity is %q; write how many messages a queue takes, at least 1", text)
		}
		capacity = n
	}
	name := c.URL.Host
	if name == "" {
		return New(WithCapacity(capacity)), nil
	}
	named.Lock()
	defer named.Unlock()
	s := named.brokers[name]
	if s == nil {
		s = &shared{broker: NewBroker(WithCapacity(capacity))}
		named.brokers[name] = s
	}
	if _, set := c.Options["capacity"]; set && s.broker.capacity != capacity {
		return nil, fmt.Errorf("memory transport: memory://%s is open with capacity %d and cannot have %d as well; give all the same, or only the first one",
			name, s.broker.capacity, capacity)
	}
	s.users++
	t := s.broker.Open()
	t.release = func() {
		named.Lock()
		defer named.Unlock()
		if s.users--; s.users == 0 {
			delete(named.brokers, name)
		}
	}
	return t, nil
}

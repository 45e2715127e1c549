package asyncconnect

import (
	"runtime"
	"sync"
	"weak"

	"connectrpc.com/connect/v2"
)

// forwards remembers which procedures Forward has registered on which server, for as long as the server lives: a server
// does not tell, and to consume what it forwards would send every message again, for ever.
var forwards forwardedProcedures

type forwardedProcedures struct {
	mu sync.Mutex
	of map[weak.Pointer[connect.Server]]map[string]bool
}

func (f *forwardedProcedures) add(server *connect.Server, methods []connect.Method) {
	key := weak.Make(server)
	f.mu.Lock()
	defer f.mu.Unlock()
	procedures := f.of[key]
	if procedures == nil {
		if f.of == nil {
			f.of = make(map[weak.Pointer[connect.Server]]map[string]bool)
		}
		procedures = make(map[string]bool)
		f.of[key] = procedures
		runtime.AddCleanup(server, f.forget, key)
	}
	for _, m := range methods {
		procedures[m.Spec.Procedure] = true
	}
}

func (f *forwardedProcedures) forget(key weak.Pointer[connect.Server]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, key)
}

func (f *forwardedProcedures) has(server *connect.Server, procedure string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of[weak.Make(server)][procedure]
}

package async

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Pause stops a binding: "<service>/<rpc>", every group of it. Handlers that run go on; what was fetched and not begun goes
// back, uncounted. Messages wait in their queue. It is no error to pause twice, or before Run.
func (rt *Runtime) Pause(binding string) error {
	list, err := rt.find(binding)
	if err != nil {
		return err
	}
	for _, b := range list {
		b.pause(ErrPaused)
	}
	return nil
}

// Resume starts a paused binding again.
func (rt *Runtime) Resume(binding string) error {
	list, err := rt.find(binding)
	if err != nil {
		return err
	}
	rt.mu.Lock()
	running := rt.phase == phaseRunning
	rt.mu.Unlock()
	for _, b := range list {
		b.mu.Lock()
		b.paused = nil
		b.mu.Unlock()
		if running && b.mode != modePull && !b.mounted {
			if err := b.start(context.Background(), context.Background()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (rt *Runtime) find(name string) ([]*binding, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var list []*binding
	var known []string
	for _, b := range rt.bindings {
		rpc := b.route.spec.Name()
		if rpc == name {
			list = append(list, b)
		}
		if !slices.Contains(known, rpc) {
			known = append(known, rpc)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("async: no binding is called %q; registered: %s", sanitize(name), strings.Join(known, ", "))
	}
	return list, nil
}

package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/internal/config"
)

// Runtime connects generated publishers, clients and subscribers with transports. Open makes one; most programs need only
// one. Its methods may be called from many goroutines at once.
type Runtime struct {
	app, namespace string
	instance       string
	log            *slog.Logger
	config         *config.Config
	interceptors   []Interceptor
	middleware     []message.HandlerMiddleware
	validate       func(proto.Message) error
	sendError      SendErrorFunc
	drainTimeout   time.Duration
	concurrency    int
	telemetry      Telemetry // nil for none
	counters       counters
	crew           *crew // works in the lanes of all bindings

	links       []*link // those that were opened, the default first
	defaultLink *link
	overridden  bool // the default link carries everything, whatever the configuration says

	ready chan struct{}

	mu         sync.Mutex
	phase      phase
	routes     map[*Spec]*route
	bindings   []*binding
	problems   []error
	stopRun    context.CancelCauseFunc
	ranOut     chan struct{}  // closed when Run has returned
	background sync.WaitGroup // drains of retired feeds
	finished   chan struct{}  // closed when Shutdown has finished
	finalErr   error

	sendMu sync.RWMutex
	sealed bool // no new sends
	sends  sync.WaitGroup

	handlersCtx  context.Context // ends when handlers must end
	handlersStop context.CancelCauseFunc
}

// Open reads the configuration, opens the transports that it names and returns a runtime that can send at once. Its errors
// are all that is wrong with the configuration, together, each with file, line and column; or that a broker cannot be
// reached. ctx bounds the opening only. Close or Shutdown the runtime when it is no longer needed.
func Open(ctx context.Context, opts ...Option) (*Runtime, error) {
	var o runtimeOptions
	for _, opt := range opts {
		opt.applyRuntime(&o)
	}
	cfg, problems := loadConfig(o.configFile)
	if cfg == nil {
		return nil, problems
	}
	if err := o.checkNames(); err != nil {
		return nil, fmt.Errorf("async: open: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("async: open: %w", err)
	}
	rt := &Runtime{
		app:          first(o.app, cfg.App),
		namespace:    first(o.namespace, cfg.Namespace),
		instance:     id.String(),
		log:          o.logger,
		config:       cfg,
		interceptors: o.interceptors,
		middleware:   o.middleware,
		validate:     o.validate,
		sendError:    o.sendError,
		drainTimeout: defaultDrainTimeout,
		concurrency:  o.concurrency,
		telemetry:    o.telemetry,
		crew:         newCrew(),
		ready:        make(chan struct{}),
		routes:       make(map[*Spec]*route),
		finished:     make(chan struct{}),
	}
	if rt.telemetry == nil {
		rt.telemetry = openTelemetry(cfg.Telemetry)
	}
	if rt.log == nil {
		rt.log = slog.New(slog.DiscardHandler)
	} else if marker, ok := rt.telemetry.(LogMarker); ok {
		rt.log = slog.New(marker.LogHandler(rt.log.Handler()))
	}
	if cfg.DrainTimeout != nil {
		rt.drainTimeout = *cfg.DrainTimeout
	}
	if o.drain > 0 {
		rt.drainTimeout = o.drain
	}
	rt.handlersCtx, rt.handlersStop = context.WithCancelCause(context.Background())
	if problems != nil {
		return nil, rt.review(problems)
	}
	if err := rt.openLinks(ctx, o); err != nil {
		return nil, errors.Join(err, rt.closeLinks(ctx))
	}
	return rt, nil
}

const defaultDrainTimeout = 30 * time.Second

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// beginSend admits one send; every true is followed by one endSend.
func (rt *Runtime) beginSend() bool {
	rt.sendMu.RLock()
	defer rt.sendMu.RUnlock()
	if rt.sealed {
		return false
	}
	rt.sends.Add(1)
	return true
}

func (rt *Runtime) endSend() { rt.sends.Done() }

// flush refuses new sends and waits for those that are open.
func (rt *Runtime) flush(ctx context.Context) error {
	rt.sendMu.Lock()
	rt.sealed = true
	rt.sendMu.Unlock()
	return waitGroup(ctx, &rt.sends)
}

// waitGroup waits for wg or ctx. When ctx ends first, a goroutine stays behind until wg is done.
func waitGroup(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/asyncpb/async/runtime/internal/config"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/memorytransport" // the default transport
)

// envTransport overrides the transport of every binding but "http".
const envTransport = "ASYNC_TRANSPORT"

// link is one opened transport with its abilities.
type link struct {
	name      string
	transport transport.Transport
	caps      transport.Capabilities
	sender    transport.Sender
	consumer  transport.Consumer
	declarer  transport.Declarer // nil when the transport makes no queues
	reporter  transport.Reporter // nil when it tells nothing
	declare   transport.Declare
	inbox     inbox
}

func newLink(name string, t transport.Transport) *link {
	l := &link{name: name, transport: t, caps: t.Capabilities(), sender: transport.SenderOf(t), consumer: transport.ConsumerOf(t)}
	l.declarer, _ = t.(transport.Declarer)
	l.reporter, _ = t.(transport.Reporter)
	l.inbox.init(l)
	return l
}

// loadConfig reads the file at path. Beside the error of a file that was read, the Config holds what could be understood.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		return &config.Config{}, nil
	}
	data, err := readBegin(path, config.MaxBytes+1)
	if err != nil {
		return nil, fmt.Errorf("async: open: read the configuration: %w", err)
	}
	return config.Load(path, data, os.LookupEnv)
}

// readBegin reads a file up to a number of bytes: what is named by mistake may be a device, or as large as a disk.
func readBegin(path string, most int64) (data []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return io.ReadAll(io.LimitReader(file, most))
}

// maxCredentialsBytes is the largest file of credentials that is read.
const maxCredentialsBytes = 4 << 10

// review returns everything that is wrong with the configuration, in the order of the file: problems, which were found when
// it was read, and what this binary or the opened transports cannot do.
func (rt *Runtime) review(problems error) error {
	var report config.Report
	report.Join(problems)
	rt.checkRequire(&report)
	rt.checkTelemetry(&report)
	rt.checkBindings(&report)
	if err := report.Err(); err != nil {
		return fmt.Errorf("async: open: %w", err)
	}
	return nil
}

// openLinks opens the default transport and those that bindings name, and checks what can be known now.
func (rt *Runtime) openLinks(ctx context.Context, o runtimeOptions) error {
	if o.transport != nil {
		rt.defaultLink = newLink("", o.transport)
		rt.links = append(rt.links, rt.defaultLink)
		rt.overridden = true
		return rt.review(nil)
	}
	override := first(o.url, os.Getenv(envTransport))
	rt.overridden = override != ""
	main, err := rt.defaultTransport(ctx, override)
	if err != nil {
		return fmt.Errorf("async: open: %w", err)
	}
	var errs []error
	rt.defaultLink, err = rt.openLink(ctx, main)
	errs = append(errs, err)
	if override == "" {
		for _, b := range rt.config.Bindings {
			if b.Transport == nil || *b.Transport == config.HTTP || rt.named(*b.Transport) != nil {
				continue
			}
			t, err := rt.config.Lookup(*b.Transport)
			if err == nil {
				_, err = rt.openLink(ctx, t)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, rt.review(nil))...)
}

// defaultTransport is what carries everything that no binding gives to another transport.
func (rt *Runtime) defaultTransport(ctx context.Context, override string) (*config.Transport, error) {
	switch {
	case override != "":
		return rt.config.Lookup(override)
	case rt.config.Transport != nil:
		return rt.config.Transport, nil
	case len(rt.config.Transports) == 1:
		for _, t := range rt.config.Transports {
			return t, nil
		}
	case len(rt.config.Transports) > 1:
		return nil, errors.New("the configuration has several transports and names no default; write transport: <name>")
	}
	rt.log.WarnContext(ctx, "no transport is configured: messages stay in this process and nothing is kept",
		"transport", "memory://", "remedy", "set transport in the configuration, or "+envTransport)
	return rt.config.Lookup("memory://")
}

// named returns the opened transport of that name.
func (rt *Runtime) named(name string) *link {
	for _, l := range rt.links {
		if l.name == name {
			return l
		}
	}
	return nil
}

func (rt *Runtime) openLink(ctx context.Context, t *config.Transport) (*link, error) {
	c := t.Config
	if t.CredentialsFile != "" {
		data, err := readBegin(t.CredentialsFile, maxCredentialsBytes+1)
		if err != nil {
			return nil, fmt.Errorf("async: open: transport %s: credentials_file: %w", t.Name, err)
		}
		if len(data) > maxCredentialsBytes {
			return nil, fmt.Errorf("async: open: transport %s: credentials_file %s is larger than 4 KiB: write one line, <user>:<password>", t.Name, t.CredentialsFile)
		}
		user, password, found := strings.Cut(strings.TrimSpace(string(data)), ":")
		if !found {
			return nil, fmt.Errorf("async: open: transport %s: credentials_file %s: write one line, <user>:<password>", t.Name, t.CredentialsFile)
		}
		c.Username, c.Password = user, transport.NewSecret(password)
	}
	c.App, c.Instance, c.Logger = rt.app, rt.instance, rt.log
	opened, err := transport.Default.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("async: open: transport %s: %w", first(t.Name, c.URL.String()), err)
	}
	l := newLink(t.Name, opened)
	l.declare = c.Declare
	rt.links = append(rt.links, l)
	return l, nil
}

// checkRequire refuses opened transports that keep nothing where the file asks for durable ones.
func (rt *Runtime) checkRequire(report *config.Report) {
	if rt.config.Require != "durable" {
		return
	}
	for _, l := range rt.links {
		if l.caps.Durable != transport.Native {
			report.Add(rt.config.Position("require"), "a durable transport is required, and "+l.caps.System+" keeps nothing",
				"choose a broker, or remove require")
		}
	}
}

// checkTelemetry refuses a telemetry that is not in this program.
func (rt *Runtime) checkTelemetry(report *config.Report) {
	if rt.config.Telemetry != "" && rt.telemetry == nil {
		report.Add(rt.config.Position("telemetry"), "the telemetry "+rt.config.Telemetry+" is not in this program",
			`add import _ "github.com/asyncpb/async/runtime/asyncotel", or remove the key`)
	}
}

// checkBindings refuses bindings of rpcs that a service of this binary does not have. A service that is not linked in is
// none of our business: one file may serve many binaries.
func (rt *Runtime) checkBindings(report *config.Report) {
	for _, b := range rt.config.Bindings {
		service, method := b.Service()
		desc, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			rt.log.Debug("a binding names a service that is not linked in", "binding", b.Name)
			continue
		}
		sd, isService := desc.(protoreflect.ServiceDescriptor)
		switch {
		case !isService:
			report.Add(b.Pos, service+" is no service", "write <package>.<Service> or <package>.<Service>/<Rpc>")
		case method != "" && sd.Methods().ByName(protoreflect.Name(method)) == nil:
			report.Add(b.Pos, "service "+service+" has no rpc "+method, "it has "+methodNames(sd))
		}
	}
}

func methodNames(sd protoreflect.ServiceDescriptor) string {
	var names []string
	for i := range sd.Methods().Len() {
		names = append(names, string(sd.Methods().Get(i).Name()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (rt *Runtime) closeLinks(ctx context.Context) error {
	var errs []error
	for _, l := range rt.links {
		errs = append(errs, l.transport.Close(ctx))
	}
	return errors.Join(errs...)
}

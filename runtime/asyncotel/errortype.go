package asyncotel

import (
	"context"
	"errors"
	"reflect"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	async "github.com/asyncpb/async/runtime"
)

// sentinels are the errors of a send, by what they are called in error.type. The order counts: an error may be several.
var sentinels = []struct {
	err  error
	name string
}{
	{async.ErrNoKey, "async.no_key"},
	{async.ErrInvalid, "async.marshal"},
	{async.ErrTooLarge, "async.too_large"},
	{async.ErrUnroutable, "async.unroutable"},
	{async.ErrNacked, errorNacked},
	{async.ErrBacklog, "async.backlog"},
	{async.ErrTopology, "async.topology"},
	{async.ErrUnsupported, "async.unsupported"},
	{async.ErrUnimplemented, "async.unimplemented"},
	{async.ErrDeliveryLost, "async.delivery_lost"},
	{async.ErrDrainTimeout, "async.drain_timeout"},
	{context.DeadlineExceeded, errorTimeout},
	{context.Canceled, errorCanceled},
	{async.ErrBlocked, "async.blocked"},
	{async.ErrUnknown, errorAbandoned},
	{async.ErrClosed, errorAbandoned},
}

var ownPackage = reflect.TypeFor[async.Error]().PkgPath()

// errorType names the kind of an error, not the error: there are few.
func errorType(err error, system string) string {
	var typed interface{ ErrorType() string }
	if errors.As(err, &typed) && typed.ErrorType() != "" {
		return typed.ErrorType()
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			if s.name == errorNacked && system == systemRabbitMQ {
				return errorNackedRabbitMQ
			}
			return s.name
		}
	}
	if coded, ok := errors.AsType[*async.Error](err); ok {
		return strings.ToUpper(coded.Code.String())
	}
	for {
		// A verdict of the runtime says what shall be done, and not what was wrong.
		inner := errors.Unwrap(err)
		if inner == nil || !own(err) {
			break
		}
		err = inner
	}
	return semconv.ErrorType(err).Value.AsString()
}

// own reports whether err is a wrapper of the runtime that has no type of its own.
func own(err error) bool {
	if _, typed := err.(interface{ ErrorType() string }); typed {
		return false
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == ownPackage
}

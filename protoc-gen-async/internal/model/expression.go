package model

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/asyncpb/async/internal/contract"
)

// stringList returns the elements of a []string as Go source, "" if there are none.
func stringList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return strings.Join(quoted, ", ")
}

func quoteUnlessEmpty(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// duration writes d in the largest unit that keeps it whole; nil stays nil.
func duration(d *time.Duration) *Duration {
	if d == nil {
		return nil
	}
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{
		{time.Hour, "Hour"},
		{time.Minute, "Minute"},
		{time.Second, "Second"},
		{time.Millisecond, "Millisecond"},
		{time.Microsecond, "Microsecond"},
	} {
		if *d%unit.length == 0 && *d != 0 {
			return &Duration{Count: int64(*d / unit.length), Unit: unit.name}
		}
	}
	return &Duration{Count: int64(*d), Unit: "Nanosecond"}
}

func unsigned(v *uint32) string {
	if v == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*v), 10)
}

func float(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// policy returns nil if the annotations say nothing.
func policy(p contract.Policy) *Policy {
	made := Policy{TTL: duration(p.TTL), Ordering: orderingNames[p.Ordering], Trace: traceNames[p.Trace]}
	if r := p.Retry; r != (contract.Retry{}) {
		made.Retry = &Retry{
			Immediate: unsigned(r.Immediate), MaxAttempts: unsigned(r.MaxAttempts),
			MinBackoff: duration(r.MinBackoff), MaxBackoff: duration(r.MaxBackoff),
			Multiplier: float(r.Multiplier), Jitter: float(r.Jitter),
		}
	}
	if d := p.DeadLetter; d != (contract.DeadLetter{}) {
		made.DeadLetter = &DeadLetter{Topic: quoteUnlessEmpty(d.Topic)}
		if d.Disabled != nil {
			made.DeadLetter.Disabled = strconv.FormatBool(*d.Disabled)
		}
	}
	if made == (Policy{}) {
		return nil
	}
	return &made
}

var orderingNames = map[contract.Ordering]string{
	contract.OrderingUnordered: "OrderingUnordered",
	contract.OrderingByKey:     "OrderingByKey",
}

var traceNames = map[contract.TraceMode]string{
	contract.TraceContinue:  "TraceContinue",
	contract.TraceLink:      "TraceLink",
	contract.TraceUntrusted: "TraceUntrusted",
}

// value returns the text of a field of the input; nil stays nil.
func value(input *protogen.Message, fd protoreflect.FieldDescriptor) *Value {
	if fd == nil {
		return nil
	}
	getter, _ := input.Fields[fd.Index()].MethodName("Get")
	return &Value{Format: format(fd.Kind()), Getter: getter}
}

// format returns the function of the runtime that makes text of a scalar or enum.
func format(kind protoreflect.Kind) string {
	switch kind {
	case protoreflect.StringKind:
		return "FormatString"
	case protoreflect.BytesKind:
		return "FormatBytes"
	case protoreflect.BoolKind:
		return "FormatBool"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "FormatFloat"
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return "FormatUint"
	default:
		return "FormatInt"
	}
}

package contract

import (
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	asyncv1 "github.com/asyncpb/async/gen/async/v1"
)

// merged returns the policy of an rpc over the policy of its service.
func merged(service, method *asyncv1.Policy) *asyncv1.Policy {
	policy := new(asyncv1.Policy)
	overlay(policy.ProtoReflect(), service.ProtoReflect())
	overlay(policy.ProtoReflect(), method.ProtoReflect())
	return policy
}

// overlay sets in dst what is set in src, message by message. A duration is one value, not a message to merge: its
// seconds and nanoseconds have no presence, so that 0.5 s under 3 s would become 3.5 s.
func overlay(dst, src protoreflect.Message) {
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil:
			dst.Set(fd, v)
		case fd.Message().FullName() == "google.protobuf.Duration":
			dst.Set(fd, protoreflect.ValueOfMessage(proto.Clone(v.Message().Interface()).ProtoReflect()))
		default:
			overlay(dst.Mutable(fd).Message(), v.Message())
		}
		return true
	})
}

// checkPolicy refuses the values of one policy, as it is written in one place. at locates a part of it.
func checkPolicy(p *asyncv1.Policy, at func(path ...int32) Position, found *Findings) {
	retry := p.GetRetry()
	if retry != nil && retry.MaxAttempts != nil && retry.GetMaxAttempts() == 0 {
		found.refuse(at(1, 2), "retry.max_attempts is 0, and a message is attempted at least once; write 1 for no retry")
	}
	if m := retry.GetMultiplier(); retry != nil && retry.Multiplier != nil && (math.IsNaN(m) || math.IsInf(m, 0) || m < 1) {
		found.refuse(at(1, 5), "retry.multiplier is %v; write a number of at least 1", m)
	}
	if j := retry.GetJitter(); retry != nil && retry.Jitter != nil && (math.IsNaN(j) || j < 0 || j > 1) {
		found.refuse(at(1, 6), "retry.jitter is %v; write a number from 0 to 1", j)
	}
	checkDuration("retry.min_backoff", retry.GetMinBackoff(), false, at(1, 3), found)
	checkDuration("retry.max_backoff", retry.GetMaxBackoff(), false, at(1, 4), found)
	checkDuration("ttl", p.GetTtl(), false, at(3), found)
	checkBackoffs(retry, at(1, 3), found)
	dead := p.GetDeadLetter()
	if dead != nil && dead.Topic != nil {
		checkName("dead_letter.topic", dead.GetTopic(), maxTopicBytes, at(2, 2), found)
		if dead.GetDisabled() {
			found.refuse(at(2), "dead_letter is disabled and has a topic; keep one of the two")
		}
	}
	if _, known := asyncv1.Ordering_name[int32(p.GetOrdering())]; !known {
		found.refuse(at(4), "ordering %d is not known; write ORDERING_UNORDERED or ORDERING_BY_KEY", p.GetOrdering())
	}
	if _, known := asyncv1.Trace_name[int32(p.GetTrace())]; !known {
		found.refuse(at(5), "trace %d is not known; write TRACE_CONTINUE, TRACE_LINK or TRACE_UNTRUSTED", p.GetTrace())
	}
}

func inverted(retry *asyncv1.Retry) bool {
	return retry.GetMinBackoff() != nil && retry.GetMaxBackoff() != nil &&
		retry.GetMinBackoff().AsDuration() > retry.GetMaxBackoff().AsDuration()
}

func checkBackoffs(retry *asyncv1.Retry, at Position, found *Findings) {
	if inverted(retry) {
		found.refuse(at, "retry.min_backoff %v is more than retry.max_backoff %v; write them the other way round, or raise max_backoff",
			retry.GetMinBackoff().AsDuration(), retry.GetMaxBackoff().AsDuration())
	}
}

// checkDuration refuses what is no duration, is negative, or is zero where it must be positive.
func checkDuration(what string, d *durationpb.Duration, positive bool, at Position, found *Findings) {
	if d == nil {
		return
	}
	if err := d.CheckValid(); err != nil {
		found.refuse(at, "%s is no valid duration: %d seconds and %d nanoseconds; write seconds and nanos of one sign, with nanos below 1000000000",
			what, d.GetSeconds(), d.GetNanos())
		return
	}
	switch length := d.AsDuration(); {
	case length == math.MaxInt64, length == math.MinInt64:
		found.refuse(at, "%s is longer than 292 years; write a shorter duration", what)
	case positive && length <= 0:
		found.refuse(at, "%s is %v; write a duration above 0", what, length)
	case length < 0:
		found.refuse(at, "%s is negative: %v; write a duration of 0 or more", what, length)
	}
}

// plainPolicy returns a merged policy as plain data.
func plainPolicy(p *asyncv1.Policy) Policy {
	retry := p.GetRetry()
	policy := Policy{
		TTL:      plainDuration(p.GetTtl()),
		Ordering: Ordering(p.GetOrdering()),
		Trace:    TraceMode(p.GetTrace()),
		Retry: Retry{
			MinBackoff: plainDuration(retry.GetMinBackoff()),
			MaxBackoff: plainDuration(retry.GetMaxBackoff()),
		},
		DeadLetter: DeadLetter{Topic: p.GetDeadLetter().GetTopic()},
	}
	if retry != nil {
		policy.Retry.Immediate, policy.Retry.MaxAttempts = retry.Immediate, retry.MaxAttempts
		policy.Retry.Multiplier, policy.Retry.Jitter = retry.Multiplier, retry.Jitter
	}
	if p.GetDeadLetter() != nil {
		policy.DeadLetter.Disabled = p.GetDeadLetter().Disabled
	}
	return policy
}

func plainDuration(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	length := d.AsDuration()
	return &length
}

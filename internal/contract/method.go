package contract

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	asyncv1 "github.com/asyncpb/async/gen/async/v1"
)

const empty = "google.protobuf.Empty"

// Methods returns the specs of the annotated rpcs of a file, in the order of the file, and what is wrong with them.
func Methods(file protoreflect.FileDescriptor) ([]*Spec, Findings) {
	var (
		specs []*Spec
		found Findings
	)
	for i := range file.Services().Len() {
		methods := file.Services().Get(i).Methods()
		for j := range methods.Len() {
			spec, more := Method(methods.Get(j))
			found = append(found, more...)
			if spec != nil {
				specs = append(specs, spec)
			}
		}
	}
	return specs, found.Sorted()
}

// Method returns the spec of an rpc, nil if it is not annotated, and what is wrong with its annotations and those of its
// service and input. A spec with refusals is incomplete: it serves to look for more of them.
func Method(md protoreflect.MethodDescriptor) (*Spec, Findings) {
	var found Findings
	options := methodOptions(md, &found)
	if options == nil {
		return nil, found
	}
	return read(md, options, found)
}

// Implicit is Method that takes an rpc without an annotation for a request with every default.
func Implicit(md protoreflect.MethodDescriptor) (*Spec, Findings) {
	var found Findings
	options := methodOptions(md, &found)
	if options == nil {
		options = &asyncv1.MethodOptions{Kind: &asyncv1.MethodOptions_Request{Request: &asyncv1.Request{}}}
	}
	return read(md, options, found)
}

// read makes the spec of an rpc whose annotation is options.
func read(md protoreflect.MethodDescriptor, options *asyncv1.MethodOptions, found Findings) (*Spec, Findings) {
	service := serviceOptions(md.Parent(), &found)
	checkService(md.Parent(), service, &found)

	spec := &Spec{
		Descriptor: md,
		Service:    string(md.Parent().FullName()),
		Method:     string(md.Name()),
		Kind:       kind(md, options),
	}
	if md.IsStreamingClient() || md.IsStreamingServer() {
		found.refuse(Locate(md), "rpc %s is streaming, and a message on a broker is one message; remove \"stream\", or the option (async.v1.method)", spec.Name())
	}
	if spec.Kind != Request && md.Output().FullName() != empty {
		found.refuse(Locate(md), "%s %s returns %s, and nobody would receive it; let it return %s, or make it a request",
			spec.Kind, spec.Name(), md.Output().FullName(), empty)
	}
	spec.topics(service, options, &found)
	spec.groups(service, options, &found)
	spec.types(options, &found)
	spec.timeout(options, &found)
	spec.fields(&found)
	spec.policy(service, options, &found)
	return spec, found.Sorted()
}

func kind(md protoreflect.MethodDescriptor, options *asyncv1.MethodOptions) Kind {
	switch options.GetKind().(type) {
	case *asyncv1.MethodOptions_Event:
		return Event
	case *asyncv1.MethodOptions_Command:
		return Command
	case *asyncv1.MethodOptions_Request:
		return Request
	}
	if md.Output().FullName() == empty {
		return Command
	}
	return Request
}

func checkService(sd protoreflect.Descriptor, options *asyncv1.ServiceOptions, found *Findings) {
	if options == nil {
		return
	}
	at := func(path ...int32) Position {
		return Locate(sd, append([]int32{serviceOptionsPath, extensionNumber}, path...)...)
	}
	if options.TopicPrefix != nil {
		checkName("topic_prefix", options.GetTopicPrefix(), maxTopicBytes, at(1), found)
	}
	if options.Group != nil {
		checkName("group", options.GetGroup(), maxGroupBytes, at(2), found)
	}
	checkPolicy(options.GetPolicy(), func(path ...int32) Position { return at(append([]int32{3}, path...)...) }, found)
}

func (s *Spec) at(path ...int32) Position {
	return Locate(s.Descriptor, append([]int32{methodOptionsPath, extensionNumber}, path...)...)
}

func (s *Spec) topics(service *asyncv1.ServiceOptions, options *asyncv1.MethodOptions, found *Findings) {
	prefix := s.Service
	if service != nil && service.TopicPrefix != nil {
		prefix = service.GetTopicPrefix()
	}
	s.Topic = prefix + "." + s.Method
	if options.Topic != nil {
		s.Topic = joinTopic(prefix, options.GetTopic())
	}
	if options.Topic != nil && options.GetTopic() == "" {
		found.refuse(s.at(4), "the topic of %s is empty; write a topic, or leave it out for %q", s.Name(), s.Method)
	} else {
		checkName("topic", s.Topic, maxTopicBytes, s.at(4), found)
	}
	for i, alias := range options.GetAliases() {
		topic := joinTopic(prefix, alias)
		checkName("topic alias", topic, maxTopicBytes, s.at(5, int32(i)), found)
		if slices.Contains(s.Aliases, topic) {
			found.refuse(s.at(5, int32(i)), "topic alias %q of %s is there twice; remove one", topic, s.Name())
		}
		s.Aliases = append(s.Aliases, topic)
	}
}

func (s *Spec) groups(service *asyncv1.ServiceOptions, options *asyncv1.MethodOptions, found *Findings) {
	if s.Kind == Event {
		if len(options.GetGroupAliases()) > 0 {
			found.refuse(s.at(7), "event %s has group_aliases, and its groups are the applications that consume it; remove them, or make it a command", s.Name())
		}
		return
	}
	s.Group = s.Service
	if service != nil && service.Group != nil {
		s.Group = service.GetGroup()
	} else if len(s.Group) > maxGroupBytes {
		found.refuse(Locate(s.Descriptor.Parent()), "group %q, the default, is longer than %d bytes; write a shorter one with option (async.v1.service).group",
			s.Group, maxGroupBytes)
	}
	for i, alias := range options.GetGroupAliases() {
		checkName("group alias", alias, maxGroupBytes, s.at(7, int32(i)), found)
		if alias == s.Group {
			found.refuse(s.at(7, int32(i)), "group alias %q of %s is its group; remove it", alias, s.Name())
		}
		if slices.Contains(s.GroupAliases, alias) {
			found.refuse(s.at(7, int32(i)), "group alias %q of %s is there twice; remove one", alias, s.Name())
		}
		s.GroupAliases = append(s.GroupAliases, alias)
	}
}

func (s *Spec) types(options *asyncv1.MethodOptions, found *Findings) {
	s.Type = string(s.Descriptor.Input().FullName())
	event := options.GetEvent()
	if event != nil && event.Type != nil {
		s.Type = event.GetType()
		checkType("type", s.Type, s.at(1, 1), found)
	}
	for i, alias := range event.GetTypeAliases() {
		checkType("type alias", alias, s.at(1, 2, int32(i)), found)
		if alias == s.Type || slices.Contains(s.TypeAliases, alias) {
			found.refuse(s.at(1, 2, int32(i)), "type alias %q of %s is there twice; remove one", alias, s.Name())
		}
		s.TypeAliases = append(s.TypeAliases, alias)
	}
}

func (s *Spec) timeout(options *asyncv1.MethodOptions, found *Findings) {
	timeout := options.GetRequest().GetTimeout()
	checkDuration("timeout", timeout, true, s.at(3, 1), found)
	s.Timeout = timeout.AsDuration()
}

func (s *Spec) policy(service *asyncv1.ServiceOptions, options *asyncv1.MethodOptions, found *Findings) {
	at := func(path ...int32) Position { return s.at(append([]int32{6}, path...)...) }
	own, policy := options.GetPolicy(), merged(service.GetPolicy(), options.GetPolicy())
	checkPolicy(own, at, found)
	if own.GetRetry() != nil && !inverted(own.GetRetry()) && !inverted(service.GetPolicy().GetRetry()) {
		checkBackoffs(policy.GetRetry(), at(1), found)
	}
	s.Policy = plainPolicy(policy)
	if s.Policy.Ordering == OrderingByKey && s.Key == nil {
		found.refuse(at(4), "%s is ordered by key, and %s has no key; annotate a field of it with [(async.v1.field).key = true], or write ordering: ORDERING_UNORDERED",
			s.Name(), s.Descriptor.Input().FullName())
	}
	if s.Policy.DeadLetter.Topic != "" && s.Policy.DeadLetter.Topic == s.Topic {
		found.refuse(at(2, 2), "dead_letter.topic of %s is its own topic %q, and a failed message would come back for ever; write another topic", s.Name(), s.Topic)
	}
	if s.Kind == Request && own.GetRetry() != nil {
		found.warn(at(1), "request %s has a retry policy, which has no effect: the error of its handler is the reply; remove it, or make it a command", s.Name())
	}
}

package contract

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Check compares rpcs with each other: topics, aliases, and what the messages inside their inputs are annotated with.
// Each finding stands at the later of the rpcs it is about.
func Check(specs []*Spec) Findings {
	var found Findings
	topics := map[string][]*Spec{}
	for _, s := range specs {
		for _, other := range topics[s.Topic] {
			s.checkShared(other, &found)
		}
		topics[s.Topic] = append(topics[s.Topic], s)
	}
	checkAliases(specs, topics, &found)
	checkNested(specs, &found)
	return found.Sorted()
}

// checkShared refuses a topic that two rpcs use in ways that do not go together.
func (s *Spec) checkShared(other *Spec, found *Findings) {
	in, out := s.Descriptor.Input().FullName(), s.Descriptor.Output().FullName()
	otherIn, otherOut := other.Descriptor.Input().FullName(), other.Descriptor.Output().FullName()
	at := s.at(4)
	switch {
	case in != otherIn:
		found.refuse(at, "topic %q of %s carries %s, and %s sends %s to it; give one of them another topic", s.Topic, s.Name(), in, other.Name(), otherIn)
	case s.Kind != other.Kind:
		found.refuse(at, "topic %q is that of the %s %s and of the %s %s; give one of them another topic", s.Topic, other.Kind, other.Name(), s.Kind, s.Name())
	case out != otherOut:
		found.refuse(at, "topic %q of %s is answered with %s, and %s expects %s; give one of them another topic", s.Topic, s.Name(), out, other.Name(), otherOut)
	case s.Kind != Event && s.Group == other.Group:
		found.refuse(at, "topic %q of group %q is that of %s and of %s, and only one can handle it; give one of them another topic", s.Topic, s.Group, other.Name(), s.Name())
	}
}

func checkAliases(specs []*Spec, topics map[string][]*Spec, found *Findings) {
	aliases := map[string]*Spec{}
	for _, s := range specs {
		for i, alias := range s.Aliases {
			at := s.at(5, int32(i))
			if owners := topics[alias]; len(owners) > 0 {
				found.refuse(at, "topic alias %q of %s is the topic of %s; remove it, or give that rpc another topic", alias, s.Name(), owners[0].Name())
			}
			if other := aliases[alias]; other != nil && other != s {
				found.refuse(at, "topic alias %q of %s is an alias of %s as well; keep one", alias, s.Name(), other.Name())
			}
			aliases[alias] = s
		}
	}
}

// checkNested warns about keys, message ids and headers in messages that are only ever inside an input.
func checkNested(specs []*Spec, found *Findings) {
	seen := map[protoreflect.FullName]bool{}
	for _, s := range specs {
		seen[s.Descriptor.Input().FullName()] = true
	}
	for _, s := range specs {
		checkInside(s.Descriptor.Input(), seen, found)
	}
}

func checkInside(outer protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, found *Findings) {
	for i := range outer.Fields().Len() {
		message := outer.Fields().Get(i).Message()
		if message == nil || seen[message.FullName()] {
			continue
		}
		seen[message.FullName()] = true
		for j := range message.Fields().Len() {
			field := message.Fields().Get(j)
			options := fieldOptions(field, found)
			if options != nil && (options.GetKey() || options.GetMessageId() || options.Header != nil) {
				found.warn(fieldAt(field), "field %s is annotated, which has no effect: %s is not the input of an rpc but inside one; annotate a field of the input",
					field.FullName(), message.FullName())
			}
		}
		checkInside(message, seen, found)
	}
}

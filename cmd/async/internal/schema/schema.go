// Package schema reads a descriptor set, as "buf build -o" writes one: the contract of the services in it, and the
// messages to decode payloads with.
package schema

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/asyncpb/async/internal/contract"
)

// Schema is a descriptor set. Nothing changes it once it is loaded. A nil *Schema knows nothing and is ready to use.
type Schema struct {
	types    *dynamicpb.Types
	specs    []*contract.Spec
	messages map[string]protoreflect.MessageDescriptor // by CloudEvents type
	warnings contract.Findings
}

// Load reads the descriptor set in the file at path. Annotations that are wrong are no error, since the queues are
// there all the same: see [Schema.Warnings].
func Load(path string) (*Schema, error) {
	const hint = `write one with "buf build -o descriptors.binpb"`
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--descriptors: %w; %s", err, hint)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(data, set); err != nil || len(set.GetFile()) == 0 {
		return nil, fmt.Errorf("--descriptors: %s is not a descriptor set; %s", path, hint)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("--descriptors: %s is incomplete: %w; %s, which adds the imports", path, err, hint)
	}
	s := &Schema{types: dynamicpb.NewTypes(files), messages: make(map[string]protoreflect.MessageDescriptor)}
	s.read(files)
	return s, nil
}

func (s *Schema) read(files *protoregistry.Files) {
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		specs, found := contract.Methods(file)
		s.specs = append(s.specs, specs...)
		s.warnings = append(s.warnings, found...)
		return true
	})
	slices.SortFunc(s.specs, func(a, b *contract.Spec) int { return strings.Compare(a.Topic, b.Topic) })
	for _, spec := range s.specs {
		for _, name := range append([]string{spec.Type}, spec.TypeAliases...) {
			s.messages[name] = spec.Descriptor.Input()
		}
	}
	s.warnings = s.warnings.Sorted()
}

// Specs lists the annotated rpcs, ordered by topic.
func (s *Schema) Specs() []*contract.Spec {
	if s == nil {
		return nil
	}
	return s.specs
}

// Warnings lists what is wrong with the annotations.
func (s *Schema) Warnings() []string {
	if s == nil {
		return nil
	}
	lines := make([]string, 0, len(s.warnings))
	for _, finding := range s.warnings {
		lines = append(lines, finding.String())
	}
	return lines
}

// find returns the message of a CloudEvents type: that of an rpc, or any message of that name. It returns nil for one that
// is not there.
func (s *Schema) find(name string) protoreflect.MessageDescriptor {
	if s == nil || name == "" {
		return nil
	}
	if md := s.messages[name]; md != nil {
		return md
	}
	mt, err := s.types.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	return mt.Descriptor()
}

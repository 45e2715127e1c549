package contract

import "google.golang.org/protobuf/reflect/protoreflect"

// Sensitive reports whether a field is annotated as holding what must not show in logs, traces and tools. Annotations that
// cannot be read say nothing here; [Method] refuses them.
func Sensitive(fd protoreflect.FieldDescriptor) bool {
	var found Findings
	return fieldOptions(fd, &found).GetSensitive()
}

// Package proto holds the published .proto files of this module as they are.
package proto

import _ "embed"

// Annotations is async/v1/annotations.proto.
//
//go:embed async/v1/annotations.proto
var Annotations []byte

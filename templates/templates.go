// Package templates holds the templates of generated code, each readable as the Go it becomes.
//
// A template sees finished names and expressions and computes nothing. Two functions qualify names and import what they
// qualify: one for each package that generated code uses ({{async}}, {{context}}, …) gives the name of the import, and
// {{ident .Input}} gives a message type.
//
// The shape of generated code is an API; the templates are not covered by the compatibility promise.
package templates

import "embed"

// Files are the templates. The one to execute is file.go.tmpl.
//
//go:embed *.go.tmpl
var Files embed.FS

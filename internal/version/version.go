// Package version holds the version of this module, for programs that must not import the runtime.
package version

// Version is the version of this module.
const Version = "0.1.0-dev"

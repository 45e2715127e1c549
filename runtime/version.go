package async

// Version is the version of this module.
const Version = "0.1.0-dev"

// The handshake between generated code and this package: code that a newer plugin generated names a constant that an
// older runtime does not have, and so does not compile against it. Each release that generated code depends on adds one.
const (
	// IsAtLeastVersion0_1_0 is named by code that needs version 0.1.0 of this package or a later one.
	IsAtLeastVersion0_1_0 = true
)

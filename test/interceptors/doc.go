// Package interceptors proves that the interceptors of Connect's ecosystem work over a broker as they do over HTTP. It is a module of its
// own: they bring dependencies that nobody needs who imports the bridge.
package interceptors

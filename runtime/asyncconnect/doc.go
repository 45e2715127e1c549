// Package asyncconnect puts a message broker under Connect's own generated clients and handlers (connectrpc.com/connect/v2): the
// code that protoc-gen-connect-go made stays as it is, and the wire is that of this module, docs/wire.md.
//
//	client := ordersv1connect.NewOrdersClient(connect.NewClient(asyncconnect.NewTransport(rt)))
//
//	server := connect.NewServer()
//	ordersv1connect.RegisterOrdersHandler(server, handler)
//	asyncconnect.Mount(rt, mux, server)       // HTTP: Connect, gRPC and gRPC-Web, with the limits of its rpcs
//	err := asyncconnect.Serve(rt, server)     // and the broker
//
// # Both ends
//
// [NewTransport] carries the calls of a [connect.Client], [Serve] consumes what is registered on a [connect.Server], and
// [Route] lets the configuration choose between HTTP and the broker, rpc by rpc. [Forward] makes HTTP calls on event and command
// rpcs messages, and [Mount] serves them over HTTP with limits.
//
// Topics, groups, kinds and policies are the annotations of the rpc, which both ends read from the method descriptor in
// [connect.Spec].Schema. A unary request is a request with a reply. A unary call on an event or command returns when the broker has
// stored the message. An rpc without an annotation is carried when [WithImplicit] is given, as a request with default names.
//
// # What crosses
//
// Headers and trailers with all their values, the deadline of a request, and a handler's error: code, text and details of a
// [connect.Error] that the handler made, the code alone of a context's error, Unknown for any other, and Internal for one
// that the handler itself got from another service, as over HTTP. Header names that the wire keeps for itself (see
// [async.Headers]) are left out, but for those of trace context, which become the message's own.
//
// A caller's deadline is no time to live: an event or command that was stored in time is handled whenever its consumer comes.
// The end of a caller's context does not reach a handler that has begun. A call without a deadline has the rpc's timeout.
//
// # Verdicts
//
// The error of an event's or command's handler says what becomes of the message. Unavailable, Aborted, ResourceExhausted,
// DeadlineExceeded, Internal and Unknown have it tried again, after the delay of a google.rpc.RetryInfo if that is among the details.
// InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, OutOfRange, PermissionDenied, Unauthenticated, Unimplemented and
// DataLoss make it a dead letter at once. Canceled puts it back while the runtime drains, and has it tried again otherwise.
// [async.Reject], [async.RetryAfter] and [async.Drop] mean what they always do.
//
// # Streams
//
// A message on a broker is one message: a streaming rpc answers Unimplemented and says what to use instead. [Route] leaves it on HTTP.
package asyncconnect

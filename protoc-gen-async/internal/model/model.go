// Package model is what the code templates see: finished names, finished expressions and booleans, so that a template
// computes nothing. [Build] makes it from the files of a request.
package model

// File is one generated file.
type File struct {
	// Source is the path of the .proto file; Name is the path of the generated file.
	Source, Name string
	// Header is what the .proto file says above its syntax: finished comment lines, empty ones between comments.
	Header []string
	// Package and ImportPath are those of the generated Go package.
	Package, ImportPath string
	// Declared holds every name that this request declares in the generated Go package: no import may take one. It is
	// complete once all files have been built.
	Declared map[string]string
	Services []*Service
}

// Service is a service with at least one annotated rpc.
type Service struct {
	// FullName is the name in the .proto file; Quoted is the same as a Go string.
	FullName, Quoted string
	// Comment and Deprecated are finished comment lines to put behind a sentence, "//" included. Comment says as well that
	// the service is deprecated; Deprecated is for where the comment is not carried over, and empty if it is not.
	Comment, Deprecated []string

	// Names of what is generated once for a service.
	Name, Publisher, Client, Handler, Subscriber string
	PublisherType, ClientType                    string
	NewPublisher, NewClient, NewSubscriber       string
	Unimplemented, Register                      string

	// Methods are the annotated rpcs; Sends are the events and commands among them, Calls the requests.
	Methods, Sends, Calls []*Method
}

// Method is an annotated rpc.
type Method struct {
	// FullName is "<Service>.<Method>" with the package; Quoted is the name of the rpc as a Go string.
	FullName, Quoted string
	// Comment and Deprecated are as those of Service.
	Comment, Deprecated []string

	// Name is the Go name; Async, Batch, On, OnBatch, Receive and All are the names of methods made from it.
	Name, Async, Batch, On, OnBatch, Receive, All string
	// Topic and Spec are the names of the constant and of the variable; Field is the name of fields.
	Topic, Spec, Field string

	// Kind is "event", "command" or "request"; KindName is the constant of the runtime.
	Kind, KindName string
	IsRequest      bool
	Input, Output  Type

	// Go expressions of the fields of the Spec. Empty ones are left out.
	TopicValue, Aliases, Group, GroupAliases, EventType, TypeAliases string
	Timeout                                                          *Duration
	Policy                                                           *Policy
	Key, MessageID                                                   *Value
	Headers                                                          []Header
}

// Type is a Go message type.
type Type struct{ Name, Package, ImportPath string }

// Value is a field of the input as text: a format function of the runtime over a getter.
type Value struct{ Format, Getter string }

// Header is a field of the input as header; Name is a Go string.
type Header struct {
	Name  string
	Value Value
}

// Duration is Count times a unit, a constant of package time.
type Duration struct {
	Count int64
	Unit  string
}

// Policy is what the annotations say about the policy of an rpc. Parts that say nothing are nil or empty.
type Policy struct {
	Retry      *Retry
	DeadLetter *DeadLetter
	TTL        *Duration
	// Ordering and Trace are constants of the runtime.
	Ordering, Trace string
}

// Retry holds Go constants.
type Retry struct {
	Immediate, MaxAttempts, Multiplier, Jitter string
	MinBackoff, MaxBackoff                     *Duration
}

// DeadLetter holds Go constants.
type DeadLetter struct{ Disabled, Topic string }

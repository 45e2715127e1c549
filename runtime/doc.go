// Package async is the runtime of protoc-gen-async: typed publishers, clients and subscribers over a message broker.
package async

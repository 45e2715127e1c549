// Package config reads the configuration file: which broker carries what, and how many work on it. The contract
// itself (kinds, topics, keys, order, groups of commands) stands in the .proto files and is refused here.
//
// [Load] is strict and reports everything that is wrong at once, each problem as
// "file:line:col: what is wrong; what to write instead". It knows the shape of the file and nothing of the services
// that are linked into the program: the runtime checks those, with [Config.Position] and [Report].
//
// Secrets never show in errors: problems quote text of the file only where it cannot hold one, and never the value of
// an environment variable.
package config

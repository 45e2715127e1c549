// Package doctest holds the documentation to the code: its excerpts are excerpts, its tables are what the code says, and its
// links lead somewhere.
package doctest

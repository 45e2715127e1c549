// Package archtest holds the import rules of this module and checks them: which package may import which, what must
// never come along with a package, and how many packages of others the runtime may bring to its users.
//
// The rules are a table ([Rooms], [Bans], [Budgets]). A new package has to be given a room in it.
package archtest

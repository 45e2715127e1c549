// Package contract turns the annotations of an rpc into its [Spec]: every default filled in from the descriptor, the
// policy of the service inherited, every rule checked.
//
// [Method] reads one rpc, [Methods] all rpcs of a file, and [Check] compares the rpcs of a whole set of files with each
// other. All of them report what they find as [Findings], with positions if the descriptors carry source information.
//
// The generator and the run-time bridges read descriptors through this package alone, so that both see the same Spec.
// Descriptors may come from anywhere: options are read again from their encoded form, whether they are generated,
// dynamic or unrecognised there.
package contract

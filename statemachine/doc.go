// Package statemachine is the state of one shard and the only rules that change
// it: what each command does at the leaseholder (Execute), and what its record
// does at a follower (Apply). Both end in the same private verbs, so that equal
// positions mean equal contents.
//
// It owns the shard's store, position, shard time and digests. It must not know
// leases, peers, clocks, goroutines or I/O: versions and time are passed in.
// What can be lost: nothing by itself; a record that was executed and not yet
// replicated dies with the process.
package statemachine

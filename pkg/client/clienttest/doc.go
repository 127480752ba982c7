// Package clienttest is an AegisKV in the test's own process: the commands, the
// store and the versions of a node behind a loopback address, with a clock that
// stands still until the test moves it and with failures on request.
//
//	srv := clienttest.New(t)
//	c := srv.Client()           // the real client, closed with the test
//	srv.Advance(time.Minute)    // what had a shorter time to live is gone
//	srv.Fail("user:1", 1, clienttest.Ambiguous)
//
// The client under test is the real one. A fake with the client's methods was the
// simpler way; it would answer every question about errors, deadlines, retries and
// redirects a second time, and differently. Here only what a cluster is made of is
// missing: one node holds every slot, nothing is replicated, and Failover loses
// what it is told to lose.
//
// The package is the client's half of a test bench: it may know transport/redis and
// statemachine, never leases, raft or the composition of a real node.
package clienttest

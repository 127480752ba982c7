// Package membership says who is in the cluster and where groups should live.
//
// It owns the consistent-hash ring that desired placement is computed from, the
// question by which a node that starts finds out whether to found a cluster, to
// found one together with others, or to join one, and gossip: a memberlist on the
// same port, which tells of every node whether it is alive, where it is and what it
// carries. What nodes say here may be late, wrong or a lie: no lease and no data
// depend on it, group 0 decides. It must not know raft, data or clients, and writes
// no log of its own: hints and lines go to whoever started it.
package membership

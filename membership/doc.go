// Package membership says who is in the cluster and where groups should live.
//
// It owns the consistent-hash ring that desired placement is computed from, and
// the question by which a node that starts finds out whether to found a cluster,
// to found one together with others, or to join one. What nodes say here may be
// late or wrong: no lease and no data depend on it, group 0 decides.
package membership

// Package meta is the state of group 0 and the only rules that change it:
// cluster identity, hard settings, the node registry, and for every group its
// desired replicas and memory budget.
//
// The state is a pure function of the committed entries. It decides nothing by
// itself: the holder of group 0 proposes entries computed elsewhere (placement
// comes from the consistent-hash ring), and each entry is conditional on the
// version it was computed from, so an entry that comes late is a no-op. The
// package must know no clock, socket, raft library or key. Losing group 0's
// leader loses nothing: shards fail over without it.
package meta

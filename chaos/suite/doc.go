// Package suite runs scenarios against real nodes and judges them: clients of four kinds
// write and read, a probe for each group tells for how long nobody served it, one fault
// after another strikes, and at the end all checkers look at what clients were told, at
// the leases that nodes say they held, at the copies, at each node's verdict on every
// version that a client was told, and at what processes hold open. What cannot be judged
// is no pass, and a fault that was not seen to act does not count.
//
// Of the eight clients one is go-redis and one rueidis, as their users have them; two are
// pkg/client, two share a pipelined connection to each node, and two know nothing but
// MOVED. The last four are written here, so that every reply can be recorded with its
// version; on the connections of the first two an ear listens for what they drop. They are
// kept from one thing that no cache could explain: a write that nobody answered is not
// sent again.
//
// Most scenarios run the released program under signals, relays and damaged files. Those
// with Seam run a build with the tag "chaos" (internal/fault), whose clocks and disks take
// orders on a socket: leases are then judged by the right clock, and what has not been
// synced is gone when the process is killed.
//
// In squeeze memory is full, and any key may go: a reading that finds nothing is taken for
// an eviction, and what comes back afterwards is a violation (P17).
//
// What it judges itself: P10 copies at rest are equal, P12 budgets of time, P13 groups are
// served again, also beside a disk that stands still, P15 a node's log holds what it had
// acknowledged and the node reads whole frames of it, P16 nodes give descriptors and
// goroutines back, P18 no process takes more memory than its limit and what README adds.
package suite

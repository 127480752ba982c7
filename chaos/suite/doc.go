// Package suite runs scenarios against real nodes and judges them: clients of two kinds
// write and read, a probe for each group tells for how long nobody served it, one fault
// after another strikes, and at the end all checkers look at what clients were told, at
// the leases that nodes say they held and at the copies. What cannot be judged is no
// pass, and a fault that was not seen to act does not count.
//
// What it judges itself: P10 copies at rest are equal, P12 budgets of time, P13 groups are
// served again, also beside a disk that stands still, P15 a node's log holds what it had
// acknowledged and the node reads whole frames of it, P16 nodes give descriptors and
// goroutines back.
package suite

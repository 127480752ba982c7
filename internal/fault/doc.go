// Package fault holds the seam by which the chaos suite makes a node's clocks wrong and
// its disk bad. Without the build tags "chaos" or "mutants" every question here is a constant and
// nothing listens; with it a node takes orders on a socket whose path CHAOS_FAULTS names,
// and on none when that is not set. No release is built with it. It owns figures only and
// must know no other room.
package fault

package peer

import "github.com/baxromumarov/aegisKV/chaos/report"

// System is a cluster whose nodes can be hurt. A node is a number from 0 on.
type System interface {
	// Cluster says what it is, for a report.
	Cluster() report.Cluster
	// Seeds are addresses to ask for the map.
	Seeds() []string
	// Node is which node answers at an address of the map, -1 when none does, and
	// where a client reaches it.
	Node(addr string) (node int, direct string)
	// Inject begins a fault of a node and Mend ends it. Both answer how the fault
	// was seen to act so far, in words, and whether it was.
	Inject(f Fault, node int) error
	Mend(f Fault, node int) (evidence string, acted bool, err error)
	// Healthy says whether every node is back at its work.
	Healthy() bool
}

// Fault is a kind of harm.
type Fault string

// Faults, as a report names them.
const (
	Kill      Fault = "kill"      // SIGKILL; started again, empty, when the fault ends
	Pause     Fault = "pause"     // SIGSTOP
	Partition Fault = "partition" // no byte between the node and the others; clients reach all
)

// Faults are all of them, in the order they are run.
var Faults = []Fault{Kill, Pause, Partition}

package suite

import (
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// Lease lengths and bars of the default profile.
const (
	lease      = 600 * time.Millisecond
	crashBar   = lease + 600*time.Millisecond
	outageBar  = lease + 1500*time.Millisecond
	plannedBar = 50 * time.Millisecond // 20 ms, and what lies between two probes of a kind
	othersBar  = 100 * time.Millisecond
)

// Scenario is one row: what is done to whom, again and again.
type Scenario struct {
	Name    string
	About   string
	Kind    string        // of the fault, for the report
	Bar     time.Duration // of the p99 of the groups that are hit; 0 = none
	Smoke   bool          // it is one of the short run
	Timed   bool          // its times are measured over many faults
	Fronted bool          // relays stand between clients and nodes
	Seam    bool          // a build that takes orders to be faulty runs
	Evicts  bool          // memory is full: keys go
	Spare   int           // nodes that are there besides, and may join
	Skew    time.Duration // that wall clocks are off, at most
	// Lossless says that a log keeps all that was acknowledged, if there is one (P15).
	Lossless bool
	// Deadly says that most copies of a shard may go at once, or out of reach of the one that
	// takes over: then writes are lost that a majority held, and that is told.
	Deadly bool
	Memory int64    // limit of each node, bytes; 0 = what others have
	WAL    string   // least that the scenario needs; "" = what the run has
	Args   []string // of all nodes
	// Whole says that every group is hit.
	Whole bool
	// Newcomer says that a node comes back as another one: the old one stays in the
	// registry, and the copies that it had are not made anew at once.
	Newcomer bool
	Once     bool // a second time would take what the first one left

	prepare func(r *run) error   // before the clients begin; may be nil
	strike  func(r *run) *struck // the fault
}

// struck is a fault that has begun.
type struck struct {
	nodes    []int                  // whose groups are hit
	target   string                 // for people
	hold     time.Duration          // how long it lasts
	heal     func() error           // ends it
	evidence func() (string, error) // what was seen of it, and an error when nothing was
}

// Scenarios lists all, in the order in which they run.
func Scenarios() []Scenario { return table }

// ByName finds a scenario.
func ByName(name string) (Scenario, bool) {
	for _, s := range table {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

var table = []Scenario{
	{Name: "kill-leaseholder", Timed: true, Kind: "kill", Smoke: true, Bar: crashBar, strike: kill(busiest), About: "kill -9 of the node that serves most groups, and a restart a second later"},
	{Name: "kill-follower", Kind: "kill", Bar: crashBar, strike: kill(idlest), About: "kill -9 of the node that serves fewest groups"},
	{Name: "kill-two", Deadly: true, Kind: "kill", strike: kill(most), About: "kill -9 of most nodes at once: what they alone had is lost and must be told"},
	{Name: "kill-all", Deadly: true, Kind: "kill", Whole: true, Lossless: true, strike: kill(everyone), About: "kill -9 of all nodes at once"},
	{Name: "restart-storm", Deadly: true, Kind: "restart", strike: storm, About: "four kills in a row of nodes taken by chance, each started again at once"},
	{Name: "rolling-restart", Timed: true, Kind: "leave", Bar: plannedBar, Smoke: true, strike: rolling, About: "SIGTERM and restart, as an upgrade does it"},
	{Name: "pause-short", Timed: true, Kind: "pause", Bar: outageBar, strike: pause(busiest, lease/4, lease), About: "SIGSTOP for less than a lease"},
	{Name: "pause-long", Timed: true, Kind: "pause", Bar: outageBar, Smoke: true, strike: pause(busiest, 3*lease, 6*lease), About: "SIGSTOP for several leases: what waits in its sockets must not be answered as if it still served"},
	{Name: "pause-all", Kind: "pause", Whole: true, strike: pause(everyone, lease, 4*lease), About: "SIGSTOP of all nodes, as a machine that sleeps"},
	{Name: "partition-leaseholder", Timed: true, Kind: "partition", Bar: outageBar, Smoke: true, strike: apart(busiest, both), About: "the node that serves most groups is cut off from the others; clients reach it still"},
	{Name: "partition-halves", Kind: "partition", strike: apart(few, both), About: "the nodes are cut into two parts"},
	{Name: "one-way-out", Timed: true, Kind: "partition one-way", Bar: outageBar, strike: apart(busiest, outward), About: "nobody hears the node that serves most groups, and it hears all"},
	{Name: "one-way-in", Timed: true, Kind: "partition one-way", Bar: outageBar, Smoke: true, strike: apart(busiest, inward), About: "the node that serves most groups hears nobody, and all hear it"},
	{Name: "bridge", Kind: "partition of a pair", strike: pair, About: "two nodes do not reach each other, and a third one reaches both"},
	{Name: "flap", Kind: "partition flapping", strike: flap, About: "the node that serves most groups is cut off and let back, many times"},
	{Name: "swizzle", Deadly: true, Kind: "swizzle", strike: swizzle, About: "half of all links are cut one by one and come back in another order"},
	{Name: "slow-links", Kind: "delay", strike: links("delay", cluster.Rule{Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond}), About: "everything to and from one node takes 10 to 50 ms"},
	{Name: "lossy-udp", Kind: "packet loss", strike: links("loss", cluster.Rule{Loss: .3, Twice: .2, Jitter: 5 * time.Millisecond}), About: "three packets in ten are lost to and from one node, two in ten come twice and out of order"},
	{Name: "no-udp", Kind: "packet loss", strike: links("loss", cluster.Rule{Loss: 1}), About: "all packets are lost to and from one node: leases must go by streams"},
	{Name: "corrupt-wire", Kind: "corruption", strike: links("damage", cluster.Rule{Flip: .02}), About: "bits are turned over in two of a hundred pieces of streams to and from one node"},
	{Name: "reset", Kind: "reset", strike: resets, About: "all streams of one node are broken off by RST, again and again"},
	{Name: "flood", Kind: "flood", strike: flood, About: "a thousand connections that say nothing, half a command, or read no answers"},
	{Name: "hot-key", Kind: "kill", Bar: crashBar, prepare: hotKey, strike: kill(busiest), About: "half of all operations go to one key, many values have 256 KiB, and the holder is killed"},
	{Name: "client-cut", Kind: "client cut", Fronted: true, strike: front(talk, "held back", cluster.Rule{Cut: true}, kept), About: "clients and the node that serves most groups do not reach each other, and all nodes do: what waited on the way arrives late"},
	{Name: "client-deaf", Kind: "client one-way", Fronted: true, strike: front(answered, "held back", cluster.Rule{Cut: true}, kept), About: "the node that serves most groups hears its clients, and they do not hear it: what they ask for is done, and nobody knows"},
	{Name: "client-slow", Kind: "client delay", Fronted: true, strike: front(talk, "delayed", cluster.Rule{Delay: 5 * time.Millisecond, Jitter: 100 * time.Millisecond}, delayed), About: "everything between clients and one node takes 5 to 105 ms"},
	{Name: "client-ghosts", Kind: "half-open", Fronted: true, strike: ghosts, About: "clients of one node come back again and again, while it keeps their old connections"},
	{Name: "client-reset", Kind: "client reset", Fronted: true, strike: clientResets, About: "all connections of clients are broken off by RST, again and again"},
	{Name: "churn", Kind: "connection churn", strike: churn, About: "connections come and go as fast as they can, most of them in the middle of something"},
	{Name: "large-values", Kind: "large values", strike: largeValues, About: "one value in eight has 512 KiB, over slow links"},
	{Name: "slow-node", Kind: "slow node", Bar: outageBar, strike: slowNode, About: "one node stands still and goes on in turn, some dozen milliseconds each"},
	{Name: "log-unread", Kind: "log unread", strike: unread, About: "one node's log is a pipe that nobody reads"},
	{Name: "wal-flip", Kind: "disk corruption", WAL: "write", strike: flipLog, About: "a bit of a killed node's write-ahead log is turned over before it starts again"},
	{Name: "wal-cut", Kind: "disk corruption", WAL: "write", strike: cutLog, About: "a killed node's write-ahead log loses its end before it starts again"},
	{Name: "disk-stall", Kind: "disk stalled", Seam: true, WAL: "fsync", strike: stallDisk, About: "no fsync of one node's log comes to its end, and the node answers all the same: its groups must go elsewhere"},
	{Name: "disk-error", Kind: "disk error", Seam: true, WAL: "fsync", prepare: holdBack, strike: failDisk, About: "fsyncs of one node's log fail, and what they were to make durable is gone"},
	{Name: "wipe", Kind: "disk wiped", Newcomer: true, Once: true, strike: wipe, About: "a killed node loses its disk and joins again as a new one"},
	{Name: "power-loss", Kind: "power loss", Seam: true, Whole: true, Lossless: true, WAL: "fsync", prepare: holdBack, strike: powerLoss, About: "kill -9 of all nodes at once, and what no sync had made durable is gone: what was acknowledged is not"},
	{Name: "disk-slow", Kind: "disk slow", Seam: true, WAL: "fsync", strike: stall, About: "each write and sync of one node's log takes 50 to 300 ms"},
	{Name: "disk-full", Kind: "disk full", Seam: true, WAL: "write", strike: badDisk("write"), About: "one node's log cannot be written (ENOSPC): it must give its leases up"},
	{Name: "clock-drift", Kind: "clock drift", Seam: true, Bar: outageBar, strike: drift, About: "the clock of the node that serves most groups goes 0.49 % too slow and those of the others as much too fast, and it is cut off"},
	{Name: "clock-jump", Kind: "clock jump", Seam: true, Skew: jumpMost, strike: wallJump, About: "the wall clock of the node that serves most groups is 2 to 30 s ahead or behind"},
	{Name: "clock-strobe", Kind: "clock strobe", Seam: true, Skew: jumpMost, strike: wallStrobe, About: "the wall clocks of all nodes jump by up to 30 s, many times a second"},
	{Name: "squeeze", Kind: "memory squeeze", Evicts: true, Memory: squeezeMemory, prepare: manyKeys, strike: squeeze, About: "more is written than nodes of 64 MiB have room for, and one of them is killed: keys go, none comes back, no process takes more than it may"},
	{Name: "grow-shrink", Kind: "join and decommission", Spare: 1, strike: grow, About: "a node joins and is decommissioned again, and each time another one is killed while copies move"},
}

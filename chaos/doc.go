// Package chaos holds what proves AegisKV's word: checkers of histories that the
// simulator and, later, the suite on real processes share. It must not be linked
// into the server.
//
// A harness hands each operation to History twice, where it ran and when its client
// was told, and each Open that a group committed. The properties, by the name that
// a violation begins with:
//
//	P1     one server: nobody answers under a lower ballot than somebody before
//	P2     a reading shows the newest write that is not lost
//	P3-P5  a client sees what it wrote and what it read, and its writes keep their
//	       order, unless a cut says that they are lost
//	P6     what was deleted stays deleted, in copies at rest too
//	P7     a key lives as long as it was told to, within what clocks allow, and
//	       once dead stays dead
//	P8     what a majority held is lost by an Open only that calls itself unclean
//	P9     what is lost was written within the tail bound, unless the Open says
//	       that its loss has no bound, and nothing is acknowledged after its cut
//	P11    epochs and versions are used once
//	P14    nothing of a write that failed for certain is ever seen
//	P19    what a client answers from its cache was true within the lease length and
//	       the bound that it has set itself
//	P20    and is not older than what it was told of the shard on the same connection
//	once   an INCR or APPEND counts once; one with an unknown outcome at most once
//	token  a verdict comes true: durable and pending never of what is cut, lost
//	       only of what no reading sees again; WAIT never counts the holder
//
// P8 takes durable verdicts and WAIT's answers for promises as it does majority
// acknowledgements. The harness adds what it alone can see:
//
//	P10    copies at rest are equal
//	P13    every group is served again once a fault is over
//	P15    what a log had when it was acknowledged is there after its node has fallen
//	P16    nodes at rest hold no more open than before the first client
//	P17    what was evicted does not come back
//	P18    no process takes more memory than its limit and what README adds to it
//	P21    a failover costs no more than two points of the hit ratio
package chaos

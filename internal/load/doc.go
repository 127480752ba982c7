// Package load offers load to a running server and measures how it is answered.
//
// It is what `aegis bench` runs: any server that speaks RESP, a cluster or not, by plain
// RESP or by our Go client. It must not know the inside of a node. chaos/bench, which
// charges two systems by their CPU time, takes its keys, values and histograms from here;
// its generator is another one, because it must not share a core with what it measures.
//
// The method. A worker is a connection with one batch under way. With a rate, the batches
// of all workers have intended times on one grid, and latency counts from there: when the
// server stalls, everybody who would have come meanwhile is charged for the wait, and
// batches that never left are counted as unsent. Without a rate every worker sends when it
// was answered, and a stall costs one batch only: such a run shows throughput, and its
// latency flatters.
package load

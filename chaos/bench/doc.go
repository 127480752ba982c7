// Package bench measures AegisKV beside redis-server: operations per CPU-second of
// the server processes and latency, in rounds that alternate between the two.
//
// It owns a load generator that speaks plain RESP to any server, and the start and
// end of the servers it measures. It must not know the inside of a node: both
// systems are processes, reached by a socket and charged by /proc.
//
// The method. Servers are pinned to the machine's last cores, the generator is one
// thread that spins on the first, so that neither's cost is the other's. Load is
// offered at a fixed rate that both sustain, each request at an intended time, and
// latency counts from that time even when the connection was still busy: a stall is
// charged to all who would have met it. Every cell is measured for one system, then
// for the other, round after round with the order turned, and a ratio is taken
// within each round: a machine that slows down for a while slows both. What is
// shown is the median of the rounds and their spread.
package bench

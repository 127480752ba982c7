// Package node is the composition root: the only room that knows all others
// and puts them together into one aegis process.
//
// The core files are rule code: they take messages and an Instant and give back
// effects, so that the simulator runs whole clusters of them. The other files
// are edges: sockets, goroutines, the data directory. What a node loses when it
// dies is the memory of its shards; identity, votes and leases' lineage are on disk.
package node

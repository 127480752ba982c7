// Package peer looks at a cluster from outside, as its clients do, while its nodes are
// killed, stopped and cut off: how long which slots were unavailable, which
// acknowledged writes are gone, and of how many of them anybody was told. It speaks
// plain RESP and knows no server's inside, so that the same scenarios, clients and
// judgement hold for AegisKV and for Redis or Valkey Cluster; the latter it starts
// itself, with relays between the nodes. It must not know how AegisKV's nodes are run.
package peer

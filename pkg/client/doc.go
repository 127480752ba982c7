// Package client is the Go client of AegisKV: Set, SetWithTTL, Get and Delete
// against one node or a whole cluster, without anything to configure.
//
//	c, err := client.New(client.DefaultConfig([]string{"localhost:7000"}))
//	err = c.Set(ctx, "user:1", []byte("Ada"))
//	value, err := c.Get(ctx, "user:1") // errors.Is(err, client.ErrNotFound): no such key
//
// The client keeps a map from slot to node, sends every command straight to the
// node that leads its slot, and repairs the map by itself: a MOVED answer moves
// that slot at once, and a refresh follows in the background. All calls share a
// few connections per node; commands of many goroutines travel in one write and
// their answers are matched in order.
//
// # What there is
//
// Open takes a target in one word and options. Get, GetInto, GetItem (with version and
// expiry), Set and SetX (conditions, versions, expiry, acks), Delete and DeleteIf are
// about one key; MGet, MSet, MDelete, Exists, Touch and a Batch about many, on any
// nodes at once; Incr, Decr, Append, GetDel, GetEx, Expire, ExpireAt, Persist and TTL are what
// they are in Redis. Scan walks over all keys, Do sends what has no method, Typed puts a
// codec before a client. Config has Hooks, a Logger, hedged reads (Hedge) and what
// retries may cost (Retry); Stats, ShardMap and Ping tell how things stand.
//
// Calls of many goroutines need no pipelining by hand: they share connections, and what
// is waiting to be sent leaves in one write. 64 goroutines do more than twice what a
// pool of connections does (chaos/clients, TestClientsSideBySide).
//
// # What a call can answer
//
// A call ends by the deadline of its context, or by Config.Timeout where the
// context has none. Until then it waits out what passes: a shard between two
// leaseholders, a node that restarts, a redirect. A redirect is never a miss.
// Errors are *OpError around one of the sentinels of this package.
//
// # What can be lost
//
// A write whose connection broke, or whose deadline passed, after its bytes may
// have reached a node has an unknown outcome: ErrAmbiguous. It is not sent again
// by the client, not even a plain SET: see the head of retry.go. The deadline travels
// to the node (CLIENT DEADLINE): what comes up there later is refused, not applied. With the
// server's default acknowledgements a write that was answered can be lost in a
// failover; with Config.Losses the client asks for the verdict after every change
// of leaseholder and reports losses with their bounds (ErrLostWrites).
//
// # What stands on top
//
// With Config.MaxStale, or by Client.Reads, followers answer reads within a bound.
// Session keeps the versions it wrote and saw: its reads never go back, or say
// ErrLostWrites. GetOrLoad lets one caller in the cluster load a missing key. Lock gives a
// lock with a fencing token. Config.Near keeps values in the process until
// the server tells that they changed. All of them need an aegis server, the near cache one
// with CLIENT TRACKING. Package clienttest is a server for unit tests.
//
// The package must know neither raft nor gossip nor the server's rooms; it speaks
// the Redis protocol only, and works against a plain Redis or Redis Cluster too.
// Rules are in route.go, retry.go, token.go and session_mark.go, which touch neither
// clocks nor sockets; conn.go, dial.go, refresh.go, node.go and client.go are the edge.
package client

// Package redis is the face that a node shows to Redis clients: connections,
// sessions, the command table, and the words in which Redis says things.
//
// It owns client connections and their buffers. What a command does to data is
// asked of a Backend, which the composition root supplies; the package must not
// know leases, replicas or stores. A pipeline is parsed whole, run in order, and
// answered with one write, after the Backend has confirmed (Commit) that every
// lease it was run under still held. When it did not, replies that were not sent
// are withheld: reads are run again, and a connection with writes in doubt is
// closed, because no Redis error means "perhaps".
package redis

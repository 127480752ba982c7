// Package transport carries frames and lease packets between the nodes of one
// cluster; it gives them no meaning.
//
// It owns the cluster port: one TCP listener and the UDP socket of the same
// number. Each kind of traffic (Class) has a connection of its own, dialled by
// the sender, so that none waits behind another; every queue is bounded and
// loses rather than blocks. A handshake agrees on a version, proves the cluster
// and its secret, and carries the sender's identity. Frames are checked by CRC.
// What can be lost: whatever was queued or under way when a connection broke;
// the rooms above expect that.
package transport

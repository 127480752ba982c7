package shardgroup

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// lane is everything between this node and one peer: our data connection to it
// (with its acks coming back) and its data connection to us. There is no queue in
// it: what is to be sent is a set of shards whose cursors are behind.
type lane struct {
	n    *Node
	peer shardmap.NodeID

	// Our data to the peer.
	conn    atomic.Uint64 // 0 = down
	dirty   bitset        // shards with something to send
	greet   bitset        // groups that need a Hello
	tickDue atomic.Bool
	awake   atomic.Bool // WakeData was called and NextData has not found nothing since
	lastAck atomic.Int64
	// peerSent is when the peer sent its last ack, by the peer's clock; 0 = none of this connection.
	peerSent atomic.Int64

	ceilingHeard atomic.Int64 // the highest H the peer sent

	fills   atomic.Int32 // bulk transfers under way
	send    sync.Mutex   // one NextData at a time; guards the next five
	frame   writer       // the frame under way
	msg     writer       // the message under way
	pending []byte       // a message that did not fit
	sent    int          // bytes of pending that have left, for one sent in parts
	digests writer       // of the Tick under way
	turn    int          // whose digest is next, an index into led shards

	// The peer's data to us.
	recv     sync.Mutex // one OnData at a time; guards assembly
	inConn   atomic.Uint64
	assembly []byte
	want     int
	ackDirty bitset // shards to ack
	states   bitset // groups whose Hello is to be answered
	stamp    atomic.Int64
	ackDue   atomic.Bool // the stamp is to be echoed
	ackAwake atomic.Bool
}

func newLane(n *Node, peer shardmap.NodeID) *lane {
	return &lane{
		n: n, peer: peer,
		dirty: newBitset(n.cfg.Layout.Shards), greet: newBitset(n.cfg.Layout.Groups + 1),
		ackDirty: newBitset(n.cfg.Layout.Shards), states: newBitset(n.cfg.Layout.Groups + 1),
	}
}

// markData says that a shard has something for the peer.
func (l *lane) markData(id shardmap.ShardID) {
	l.dirty.set(int(id))
	l.wakeData()
}

func (l *lane) wakeData() {
	if !l.awake.Load() && l.conn.Load() != 0 && l.awake.CompareAndSwap(false, true) {
		l.n.out.WakeData(l.peer)
	}
}

// markAck says that a shard's position is to be acked.
func (l *lane) markAck(id shardmap.ShardID, urgent bool) {
	l.ackDirty.set(int(id))
	l.wakeAck(urgent)
}

func (l *lane) wakeAck(urgent bool) {
	if l.ackAwake.CompareAndSwap(false, true) || urgent {
		l.n.out.WakeAck(l.peer, urgent)
	}
}

// greetGroup asks for a new session of one group with the peer.
func (l *lane) greetGroup(g shardmap.GroupID) {
	l.greet.set(int(g))
	l.wakeData()
}

// busy says whether NextData would find something.
func (l *lane) busy() bool {
	return l.tickDue.Load() || l.dirty.any() || l.greet.any()
}

// LaneUp says that the data connection to a peer and the ack connection back are
// up. conn rises with every connection of this ordered pair, restarts of this
// node included (incarnation counter << 32 | n will do).
func (n *Node) LaneUp(peer shardmap.NodeID, conn uint64, now multiraft.Instant) {
	l := n.laneTo(peer)
	l.send.Lock()
	l.pending, l.sent = nil, 0
	l.dirty.clear()
	l.lastAck.Store(int64(now.Mono))
	l.peerSent.Store(0)
	l.awake.Store(false)
	l.conn.Store(conn)
	l.send.Unlock()
	for _, r := range n.all() {
		r.laneUp(l)
	}
}

// LaneDown says that connection conn to the peer is gone.
func (n *Node) LaneDown(peer shardmap.NodeID, conn uint64, now multiraft.Instant) {
	l := n.laneTo(peer)
	if !l.conn.CompareAndSwap(conn, 0) {
		return
	}
	for _, r := range n.all() {
		r.laneDown(l)
	}
}

// bitset is a set that many goroutines may add to while one takes out.
type bitset []atomic.Uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int) { b[i/64].Or(1 << (i % 64)) }

func (b bitset) any() bool {
	for i := range b {
		if b[i].Load() != 0 {
			return true
		}
	}
	return false
}

func (b bitset) clear() {
	for i := range b {
		b[i].Store(0)
	}
}

// drain takes every member out and calls visit until it says false; members not
// visited stay. A member added again during its visit stays too.
func (b bitset) drain(visit func(i int) bool) {
	for w := range b {
		for m := b[w].Load(); m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			b[w].And(^uint64(1 << i))
			if !visit(w*64 + i) {
				return
			}
		}
	}
}

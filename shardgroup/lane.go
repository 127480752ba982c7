package shardgroup

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

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
	paced   bitset        // shards whose fill waits for the pace
	tickDue atomic.Bool
	awake   atomic.Bool // WakeData was called and NextData has not found nothing since
	lastAck atomic.Int64
	said    lastSaid
	lap     atomic.Pointer[lap]

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
	recv     sync.Mutex    // one OnData at a time; guards the next three
	heardAt  time.Duration // Mono, of the frame under way
	assembly []byte
	want     int
	inConn   atomic.Uint64
	ackDirty bitset // shards to ack
	states   bitset // groups whose Hello is to be answered
	stamp    atomic.Int64
	ackDue   atomic.Bool // the stamp is to be echoed
	ackAwake atomic.Bool
}

func newLane(n *Node, peer shardmap.NodeID) *lane {
	return &lane{
		n: n, peer: peer,
		dirty: newBitset(n.cfg.Layout.Shards), greet: newBitset(n.cfg.Layout.Groups + 1), paced: newBitset(n.cfg.Layout.Shards),
		ackDirty: newBitset(n.cfg.Layout.Shards), states: newBitset(n.cfg.Layout.Groups + 1),
	}
}

// lastSaid is the last ack frame of a peer.
type lastSaid struct {
	mu   sync.Mutex
	conn uint64        // our data connection that it answers
	sent int64         // when the peer sent it, by the peer's clock
	at   time.Duration // when it was in hand, on Mono
}

// lap is what the next Tick on a connection may say: the sent of an ack that was in hand
// before the moment for which the leases were found good.
type lap struct {
	conn uint64
	echo int64
}

// beginLap lets a Tick go out. now must be exact, and read before the call. The frame is
// composed by a thread with a reading of its own, which may be of before a pause or a
// suspend, while an ack of after it is in hand already: what that one echoed would
// make a copy look fresh that follows a holder of the past.
func (l *lane) beginLap(now multiraft.Instant) {
	l.said.mu.Lock()
	p := &lap{conn: l.said.conn}
	if l.said.at <= now.Mono {
		p.echo = l.said.sent
	}
	l.said.mu.Unlock()
	l.lap.Store(p)
	l.tickDue.Store(true)
	l.wakeData()
}

// echo is what a Tick gives back of the peer's last ack, 0 when there is none of this
// connection: a process of before may have had another clock.
func (l *lane) echo() int64 {
	if p := l.lap.Load(); p != nil && p.conn == l.conn.Load() {
		return p.echo
	}
	return 0
}

// hears keeps when the peer sent an ack.
func (l *lane) hears(conn uint64, sent int64, now multiraft.Instant) {
	l.said.mu.Lock()
	l.said.conn, l.said.sent, l.said.at = conn, sent, now.Mono
	l.said.mu.Unlock()
	l.lastAck.Store(int64(now.Mono))
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
	l.paced.clear()
	l.lastAck.Store(int64(now.Mono))
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

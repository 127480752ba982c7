package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// link is everything that goes from one node to another: ordered streams that
// break as a whole, and lease packets that may be lost, doubled and reordered.
type link struct {
	w        *World
	from, to *process
	cut      bool // nothing gets through
	noUDP    bool
	loss     float64
	delayMin time.Duration
	delayMax time.Duration
	hushed   bool                   // the data stream rests; a script's doing
	tap      func(body []byte) bool // sees each data frame of a script; false takes it out

	noAcks bool // the ack connection is dead, and its end has not noticed

	conn    uint64        // of the streams, 0 = down
	arrive  time.Duration // when the last stream message arrives: order is kept
	ackAt   time.Duration
	flying  int  // bytes of data frames that the receiver has not taken
	full    bool // the sender waits for it to take some
	sending hurry
	acking  hurry
	buf     []byte
	ackBuf  []byte
}

// link finds what goes from one node to another.
func (w *World) link(from, to shardmap.NodeID) *link {
	p, at := w.node(from), w.place(to)
	for len(p.links) <= at {
		p.links = append(p.links, nil)
	}
	if p.links[at] == nil {
		p.links[at] = newLink(p, w.nodes[at])
	}
	return p.links[at]
}

func newLink(from, to *process) *link {
	l := &link{w: from.w, from: from, to: to, delayMin: 50 * time.Microsecond, delayMax: time.Millisecond}
	l.sending.at, l.sending.do = from, l.pump
	l.acking.at, l.acking.do = to, l.ack
	return l
}

// eachLink calls f for every link that was used.
func (w *World) eachLink(f func(*link)) {
	for _, p := range w.nodes {
		for _, l := range p.links {
			if l != nil {
				f(l)
			}
		}
	}
}

// hurry is what a process does a moment after it was asked to, once however often
// it is asked meanwhile.
type hurry struct {
	at    *process
	do    func()
	asked bool
	life  int    // of the process when it was asked
	run   func() // made once
}

// moment is the way from a wake to a sender's first byte.
const moment = 10 * time.Microsecond

func (h *hurry) ask() {
	if h.asked {
		return
	}
	if h.run == nil {
		h.run = func() {
			h.asked = false
			h.at.when(h.life, h.do)
		}
	}
	h.asked, h.life = true, h.at.life
	h.at.w.after(moment, h.run)
}

func (l *link) delay() time.Duration {
	return l.delayMin + time.Duration(l.w.rng.Int64N(int64(l.delayMax)))
}

func (l *link) back() *link { return l.w.link(l.to.id, l.from.id) }

// connect brings the streams up when both ends are there.
func (l *link) connect() {
	if l.conn != 0 || l.cut || l.back().cut || !l.from.up || !l.to.up || !l.from.reaches(l.to) {
		return
	}
	l.w.seq++
	conn := l.w.seq
	life, far := l.from.life, l.to.life
	l.w.after(2*l.delay(), func() {
		if l.conn != 0 || l.cut || l.back().cut || l.from.life != life || l.to.life != far {
			return
		}
		l.conn, l.arrive, l.ackAt, l.flying = conn, l.w.now, l.w.now, 0
		l.from.when(life, func() {
			if l.conn == conn {
				l.from.core.Data().LaneUp(l.to.id, conn, l.from.clock())
				l.wakeData()
			}
		})
	})
}

// cutNow breaks the streams; the ends notice a little later.
func (l *link) cutNow() {
	conn := l.conn
	if conn == 0 {
		return
	}
	l.conn = 0
	life := l.from.life
	l.w.after(l.delay(), func() {
		l.from.when(life, func() {
			l.from.core.Data().LaneDown(l.to.id, conn, l.from.clock())
			l.from.core.PeerDown(l.to.id, l.from.clock())
			l.from.flush()
		})
	})
}

// message carries a control or bulk frame, which is this link's to keep.
func (l *link) message(frame []byte) {
	if l.conn == 0 || l.cut {
		return
	}
	l.arrive = max(l.arrive, l.w.now+l.delay())
	l.w.at(l.arrive, l.parcel(frameOfControl, frame).arrive)
}

// datagram carries a lease packet, which nobody changes any more.
func (l *link) datagram(packet []byte, overTCP bool) {
	if l.cut || !l.to.up || !l.from.reaches(l.to) || (overTCP && l.conn == 0) || (!overTCP && l.noUDP) {
		return
	}
	copies := 1
	if !overTCP {
		if l.w.rng.Float64() < l.loss {
			l.w.acted["packet lost"]++
			return
		}
		if l.w.rng.IntN(100) == 0 {
			copies = 2
		}
	}
	kind := leasePacket
	if overTCP {
		kind = leasePacketTCP
	}
	for range copies {
		d := l.delay()
		if !overTCP && l.w.rng.IntN(50) == 0 {
			d += 20 * l.delay()
		}
		l.w.after(d, l.parcel(kind, packet).arrive)
	}
}

// window is what a connection holds for a receiver that takes nothing.
const window = 16 << 10

// took notes that the receiver has taken a data frame.
func (l *link) took(n int) {
	if l.flying -= n; l.full && l.flying <= window {
		l.full = false
		l.wakeData()
	}
}

// wakeData lets the sender of the data stream run.
func (l *link) wakeData() {
	if l.conn != 0 {
		l.sending.ask()
	}
}

// pump sends what there is, as long as the connection stands.
func (l *link) pump() {
	for range 16 {
		if l.conn == 0 || l.hushed {
			return
		}
		if l.full = l.flying > window; l.full {
			return
		}
		l.buf = l.from.core.Data().NextData(l.to.id, l.buf[:0], l.from.clock())
		if len(l.buf) == 0 {
			return
		}
		if l.cut {
			continue // lost on the way: the connection will break
		}
		d := l.copied(frameOfData, l.buf)
		if l.tap != nil && !l.tap(d.body) {
			continue
		}
		l.flying += len(d.body)
		l.arrive = max(l.arrive, l.w.now+l.delay())
		l.w.at(l.arrive, d.arrive)
	}
	l.wakeData()
}

// wakeAck lets the acks of this link's data stream go back.
func (l *link) wakeAck() {
	if l.conn != 0 {
		l.acking.ask()
	}
}

func (l *link) ack() {
	for range 16 {
		if l.conn == 0 {
			return
		}
		l.ackBuf = l.to.core.Data().NextAck(l.from.id, l.ackBuf[:0], l.to.clock())
		if len(l.ackBuf) == 0 {
			return
		}
		if l.back().cut || l.noAcks {
			continue
		}
		l.ackAt = max(l.ackAt, l.w.now+l.delay())
		l.w.at(l.ackAt, l.copied(frameOfAcks, l.ackBuf).arrive)
	}
	l.wakeAck()
}

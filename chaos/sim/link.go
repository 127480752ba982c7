package sim

import (
	"slices"
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

	conn    uint64        // of the streams, 0 = down
	arrive  time.Duration // when the last stream message arrives: order is kept
	ackAt   time.Duration
	sending bool
	acking  bool
	buf     []byte
	ackBuf  []byte
}

func (w *World) link(from, to shardmap.NodeID) *link {
	k := [2]shardmap.NodeID{from, to}
	if l := w.links[k]; l != nil {
		return l
	}
	l := &link{w: w, from: w.nodes[from-1], to: w.nodes[to-1], delayMin: 50 * time.Microsecond, delayMax: time.Millisecond}
	w.links[k] = l
	return l
}

func (l *link) delay() time.Duration {
	return l.delayMin + time.Duration(l.w.rng.Int64N(int64(l.delayMax)))
}

func (l *link) back() *link { return l.w.link(l.to.id, l.from.id) }

// connect brings the streams up when both ends are there.
func (l *link) connect() {
	if l.conn != 0 || l.cut || l.back().cut || !l.from.up || !l.to.up {
		return
	}
	l.w.seq++
	conn := l.w.seq
	life, far := l.from.life, l.to.life
	l.w.after(2*l.delay(), func() {
		if l.conn != 0 || l.cut || l.back().cut || l.from.life != life || l.to.life != far {
			return
		}
		l.conn, l.arrive, l.ackAt = conn, l.w.now, l.w.now
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
		l.from.when(life, func() { l.from.core.Data().LaneDown(l.to.id, conn, l.from.clock()) })
	})
}

// message carries a control or bulk frame, which is this link's to keep.
func (l *link) message(frame []byte) {
	if l.conn == 0 || l.cut {
		return
	}
	conn, far := l.conn, l.to.life
	l.arrive = max(l.arrive, l.w.now+l.delay())
	l.w.at(l.arrive, func() {
		if l.conn != conn {
			return
		}
		l.to.when(far, func() { l.to.core.Control(l.from.id, frame, l.to.clock()); l.to.flush() })
	})
}

// datagram carries a lease packet, which nobody changes any more.
func (l *link) datagram(packet []byte, overTCP bool) {
	if l.cut || !l.to.up || (overTCP && l.conn == 0) || (!overTCP && l.noUDP) {
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
	far := l.to.life
	for range copies {
		d := l.delay()
		if !overTCP && l.w.rng.IntN(50) == 0 {
			d += 20 * l.delay()
		}
		l.w.after(d, func() {
			l.to.when(far, func() { l.to.core.Datagram(l.from.id, packet, overTCP, l.to.clock()); l.to.flush() })
		})
	}
}

// wakeData lets the sender of the data stream run.
func (l *link) wakeData() {
	if l.sending || l.conn == 0 {
		return
	}
	l.sending = true
	life := l.from.life
	l.w.after(10*time.Microsecond, func() {
		l.sending = false
		l.from.when(life, l.pump)
	})
}

// pump sends what there is, as long as the connection stands.
func (l *link) pump() {
	for range 16 {
		if l.conn == 0 || l.hushed {
			return
		}
		l.buf = l.from.core.Data().NextData(l.to.id, l.buf[:0], l.from.clock())
		if len(l.buf) == 0 {
			return
		}
		if l.cut {
			continue // lost on the way: the connection will break
		}
		conn, far := l.conn, l.to.life
		body := slices.Clone(l.buf)
		if l.tap != nil && !l.tap(body) {
			continue
		}
		l.arrive = max(l.arrive, l.w.now+l.delay())
		l.w.at(l.arrive, func() {
			if l.conn != conn {
				return
			}
			l.to.when(far, func() {
				if err := l.to.core.Data().OnData(l.from.id, conn, body, l.to.clock()); err != nil {
					l.w.history.Broken = append(l.w.history.Broken, "frame: "+err.Error())
				}
				l.to.flush()
			})
		})
	}
	l.wakeData()
}

// wakeAck lets the acks of this link's data stream go back.
func (l *link) wakeAck() {
	if l.acking || l.conn == 0 {
		return
	}
	l.acking = true
	far := l.to.life
	l.w.after(10*time.Microsecond, func() {
		l.acking = false
		l.to.when(far, l.ack)
	})
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
		if l.back().cut {
			continue
		}
		conn, life := l.conn, l.from.life
		body := slices.Clone(l.ackBuf)
		l.ackAt = max(l.ackAt, l.w.now+l.delay())
		l.w.at(l.ackAt, func() {
			if l.conn != conn {
				return
			}
			l.from.when(life, func() {
				if err := l.from.core.Data().OnAck(l.to.id, conn, body, l.from.clock()); err != nil {
					l.w.history.Broken = append(l.w.history.Broken, "ack frame: "+err.Error())
				}
				l.from.flush()
			})
		})
	}
	l.wakeAck()
}

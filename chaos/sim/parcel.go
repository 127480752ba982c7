package sim

// parcelKind says what a parcel is and which way it goes.
type parcelKind uint8

const (
	frameOfControl parcelKind = iota // a control or bulk frame
	frameOfData                      // of the data stream
	frameOfAcks                      // of the acks, against the link's direction
	leasePacket
	leasePacketTCP
)

// parcel is a frame or packet on its way. There are hundreds in a second, so they
// are used again, with their memory and with the two functions that the world and
// the receiver call.
type parcel struct {
	l    *link
	kind parcelKind
	conn uint64 // of the streams when it left
	life int    // of the receiver when it left
	room []byte // memory of this parcel
	body []byte // in room, or the receiver's to keep

	arrive func() // at the end of the way
	take   func() // by the receiver, which may be stopped for a while
}

// parcel begins one whose body is the receiver's to keep.
func (l *link) parcel(kind parcelKind, body []byte) *parcel {
	w := l.w
	var d *parcel
	if n := len(w.parcels); n > 0 {
		d, w.parcels = w.parcels[n-1], w.parcels[:n-1]
	} else {
		d = &parcel{}
		d.arrive, d.take = d.arrived, d.taken
	}
	d.l, d.kind, d.conn, d.body = l, kind, l.conn, body
	d.life = d.receiver().life
	return d
}

// copied begins one with a body that is valid until it is taken, as a frame of a
// real connection is.
func (l *link) copied(kind parcelKind, body []byte) *parcel {
	d := l.parcel(kind, nil)
	d.room = append(d.room[:0], body...)
	d.body = d.room
	return d
}

func (d *parcel) receiver() *process {
	if d.kind == frameOfAcks {
		return d.l.from
	}
	return d.l.to
}

// arrived is the end of the way; what a stream carries is lost with its connection,
// and a packet that nobody is awake to take is not sent again.
func (d *parcel) arrived() {
	if d.kind < leasePacket && d.l.conn != d.conn || d.kind == leasePacket && d.receiver().clocks.asleep {
		d.free()
		return
	}
	d.receiver().when(d.life, d.take)
}

// taken hands the parcel over. One that a process never takes is left to the
// garbage collector.
func (d *parcel) taken() {
	p, l := d.receiver(), d.l
	switch d.kind {
	case frameOfControl:
		p.core.Control(l.from.id, d.body, p.clock())
	case frameOfData:
		if l.conn == d.conn {
			l.took(len(d.body))
		}
		l.judge("data", p.core.Data().OnData(l.from.id, d.conn, d.body, p.clock()))
	case frameOfAcks:
		l.judge("acks", p.core.Data().OnAck(l.to.id, d.body, p.clock()))
	default:
		p.core.Datagram(l.from.id, d.body, d.kind == leasePacketTCP, p.clock())
	}
	p.flush()
	d.free()
}

func (l *link) judge(what string, err error) {
	if err != nil {
		l.w.broke("frame", "%s: %v", what, err)
	}
}

func (d *parcel) free() {
	d.body = nil
	d.l.w.parcels = append(d.l.w.parcels, d)
}

package transport

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// lastSequence is where the packets of a parent begin, which speaks in the name of the
// process it has buried. How many that one sent it cannot know; so many it did not.
const lastSequence = 1 << 63

// LastWord says lease packets in the name of a process that is gone, to its peers, which
// take them for its own. The caller must know that it is gone for certain.
type LastWord struct {
	Self    Identity // of the process
	Secret  []byte   // nil: authenticators show damage only
	Network Network
	Peers   map[shardmap.NodeID]string // their cluster addresses

	said uint64 // packets so far
}

// Datagrams sends a packet to every peer by UDP, once. What is lost is lost: call it again.
func (l *LastWord) Datagrams(packet []byte) error {
	pc, err := l.Network.ListenPacket(":0")
	if err != nil {
		return err
	}
	d := newDatagrams(Config{Self: l.Self, Secret: l.Secret}, pc, nil)
	defer d.close()
	d.seq.Store(lastSequence + l.said)
	for id, name := range l.Peers { // order has no effect
		if a, err := net.ResolveUDPAddr("udp", name); err == nil {
			d.addrs[id] = &target{name: name, proven: a.String()}
			d.send(id, packet)
		}
	}
	l.said = d.seq.Load() - lastSequence
	return nil
}

// Streams sends a packet to every peer over a connection of its own, where UDP does not
// get through, and returns when each has it or cannot be reached.
func (l *LastWord) Streams(ctx context.Context, packet []byte) {
	var wg sync.WaitGroup
	for id, addr := range l.Peers {
		wg.Go(func() { l.stream(ctx, id, addr, packet) })
	}
	wg.Wait()
}

func (l *LastWord) stream(ctx context.Context, id shardmap.NodeID, addr string, packet []byte) {
	c, err := l.Network.Dial(ctx, addr)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout))
	h := hello{id: l.Self, min: versionMin, max: versionMax, target: id, class: Lease, conn: l.Self.Counter<<32 | 1<<31}
	if _, err := dialHandshake(c, h, l.Secret); err != nil {
		return
	}
	frame, _ := appendFrame(nil, packet, nil, false)
	_, _ = c.Write(frame)
}

// reach is where lease packets to each peer go.
func (d *datagrams) reach() map[shardmap.NodeID]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := make(map[shardmap.NodeID]string, len(d.addrs))
	for id, t := range d.addrs {
		if at[id] = t.proven; t.addr != nil {
			at[id] = t.addr.String() // who speaks for a dead node has no time to look names up
		}
	}
	return at
}

// Peers is where each peer was found, or is said to be.
func (m *Mux) Peers() map[shardmap.NodeID]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.udp.reach()
	for id := range at {
		if m.peers[id] == nil { // no peer any more
			delete(at, id)
		}
	}
	return at
}

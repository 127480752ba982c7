package transport

import (
	"context"
	"net"
	"net/netip"
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

	said   uint64 // packets so far
	lookUp func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// namesWait is how long names of peers are looked up for one packet. The next one looks
// again, and the process that is to live again waits.
const namesWait = 100 * time.Millisecond

// Datagrams sends a packet to every peer by UDP, once: to those whose address is known at
// once, to the others as soon as their name is found. What is lost is lost: call it again.
func (l *LastWord) Datagrams(packet []byte) error {
	pc, err := l.Network.ListenPacket(":0")
	if err != nil {
		return err
	}
	d := newDatagrams(Config{Self: l.Self, Secret: l.Secret}, pc, nil)
	defer d.close()
	d.seq.Store(lastSequence + l.said)
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), namesWait)
	defer cancel()
	say := func(id shardmap.NodeID, at netip.AddrPort) {
		d.mu.Lock()
		d.addrs[id] = &target{name: l.Peers[id], proven: at.String()}
		d.mu.Unlock()
		d.send(id, packet)
	}
	for id, name := range l.Peers { // order has no effect
		if at, err := netip.ParseAddrPort(name); err == nil {
			say(id, at)
			continue
		}
		wg.Go(func() {
			if at, ok := l.find(ctx, name); ok {
				say(id, at)
			}
		})
	}
	wg.Wait()
	l.said = d.seq.Load() - lastSequence
	return nil
}

// find looks a name up, as long as ctx lasts.
func (l *LastWord) find(ctx context.Context, name string) (at netip.AddrPort, ok bool) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return at, false
	}
	lookUp := l.lookUp
	if lookUp == nil {
		lookUp = net.DefaultResolver.LookupNetIP
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return at, false
	}
	found, err := lookUp(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return at, false
	}
	return netip.AddrPortFrom(found[0].Unmap(), uint16(number)), true
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

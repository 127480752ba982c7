package transport

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A lease packet (big endian). The authenticator covers all but itself:
//
//	format u8 | cluster digest u32 | sender u32 | counter u64 | nonce u64 | sequence u64 | authenticator 16 | payload
const (
	datagramFormat = 1
	datagramHead   = 1 + 4 + 4 + 8 + 8 + 8 + macBytes
	// DatagramMax is the longest payload: bitmaps of 16384 groups do not fit into
	// one packet of an ordinary network, so it is what UDP itself can carry.
	DatagramMax = 60 << 10
	resolveAge  = 5 * time.Second
	// sendersMax is how many senders are remembered before those that are no peers count
	// for nothing: without a secret anybody may speak in the name of nodes that never were.
	sendersMax = 1024
)

// datagrams is the UDP side of a Mux. Packets whose sequence is not newer than
// the newest one of the same sender and incarnation are dropped: a lost lease
// packet is repeated after a heartbeat, a replayed one must do nothing.
type datagrams struct {
	cfg     Config
	pc      packets
	handler Handler
	digest  uint32
	seq     atomic.Uint64
	done    atomic.Bool

	mu    sync.Mutex // guards the maps
	addrs map[shardmap.NodeID]*target
	seen  map[shardmap.NodeID]seenSeq
}

type target struct {
	name    string // where the peer is said to be
	proven  string // where a handshake found it
	addr    net.Addr
	asked   time.Time // when the name was looked up last
	looking bool      // a lookup is under way
}

type seenSeq struct{ counter, nonce, seq uint64 }

func clusterDigest(c [16]byte) uint32 {
	sum := sha256.Sum256(c[:])
	return binary.BigEndian.Uint32(sum[:])
}

func newDatagrams(cfg Config, pc net.PacketConn, h Handler) *datagrams {
	return &datagrams{
		cfg: cfg, pc: newPackets(pc), handler: h, digest: clusterDigest(cfg.Self.Cluster),
		addrs: make(map[shardmap.NodeID]*target), seen: make(map[shardmap.NodeID]seenSeq),
	}
}

func (d *datagrams) setPeers(addrs map[shardmap.NodeID]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, a := range addrs {
		if t := d.addrs[id]; t == nil || t.name != a {
			d.addrs[id] = &target{name: a, proven: a}
		}
	}
}

// reached says that a handshake found the peer at addr: packets go there from now
// on, until the peer is said to be elsewhere.
func (d *datagrams) reached(id shardmap.NodeID, addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.addrs[id]; t != nil && t.proven != addr {
		d.addrs[id] = &target{name: t.name, proven: addr}
	}
}

// resolve finds the socket address of a peer, nil while it is not known. A name is
// looked up again every few seconds, by a goroutine of its own: the caller is the one
// thread that keeps all leases, and whoever receives waits for the same lock, so that a
// name server that does not answer would cost every lease of the node.
func (d *datagrams) resolve(id shardmap.NodeID) net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.addrs[id]
	if t == nil {
		return nil
	}
	if a, err := netip.ParseAddrPort(t.proven); err == nil {
		if t.addr == nil {
			t.addr = net.UDPAddrFromAddrPort(a)
		}
		return t.addr
	}
	if now := time.Now(); !t.looking && !d.done.Load() && now.Sub(t.asked) > resolveAge {
		t.asked, t.looking = now, true
		go d.lookUp(t, t.proven)
	}
	return t.addr
}

// lookUp asks the name server where a name is. Nobody waits for it, not even close: what
// it finds after that is sent to by nobody.
func (d *datagrams) lookUp(t *target, name string) {
	a, err := net.ResolveUDPAddr("udp", name)
	d.mu.Lock()
	defer d.mu.Unlock()
	t.looking = false
	if err == nil {
		t.addr = a
	}
}

func (d *datagrams) send(to shardmap.NodeID, payload []byte) {
	addr := d.resolve(to)
	if addr == nil || len(payload) > DatagramMax {
		return
	}
	b := make([]byte, 0, datagramHead+len(payload))
	b = binary.BigEndian.AppendUint32(append(b, datagramFormat), d.digest)
	b = appendIdentity(b, d.cfg.Self)
	b = binary.BigEndian.AppendUint64(b, d.seq.Add(1))
	m := mac(d.cfg.Secret, 'd', b, payload)
	b = append(append(b, m[:]...), payload...)
	d.pc.send(b, addr)
}

func (d *datagrams) receive() {
	buf := make([]byte, 64<<10)
	for {
		n, err := d.pc.receive(buf)
		if d.done.Load() {
			return
		}
		if err != nil {
			continue // an ICMP answer to an earlier packet; the socket lives on
		}
		if from, payload, ok := d.open(buf[:n]); ok {
			d.handler.Datagram(from, payload, false)
		}
	}
}

// open checks a packet and gives its sender and payload.
func (d *datagrams) open(b []byte) (from Identity, payload []byte, ok bool) {
	const signed = datagramHead - macBytes
	if len(b) < datagramHead || b[0] != datagramFormat || binary.BigEndian.Uint32(b[1:]) != d.digest {
		return from, nil, false
	}
	want := mac(d.cfg.Secret, 'd', b[:signed], b[datagramHead:])
	if !hmac.Equal(want[:], b[signed:datagramHead]) {
		return from, nil, false
	}
	from = readIdentity(b[5:])
	from.Cluster = d.cfg.Self.Cluster
	seq := binary.BigEndian.Uint64(b[25:])
	d.mu.Lock()
	defer d.mu.Unlock()
	last, known := d.seen[from.Node]
	switch {
	case !known && d.addrs[from.Node] == nil && len(d.seen) >= sendersMax:
		return from, nil, false
	case from.Counter < last.counter:
		return from, nil, false
	case from.Counter == last.counter && (from.Nonce != last.nonce || seq <= last.seq):
		return from, nil, false
	}
	d.seen[from.Node] = seenSeq{from.Counter, from.Nonce, seq}
	return from, b[datagramHead:], true
}

func (d *datagrams) close() {
	d.done.Store(true)
	d.pc.pc.Close()
}

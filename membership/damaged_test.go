package membership

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// TestADamagedQuestionIsNotBelieved turns over every bit of an answer: a member that
// seems to be of another cluster, or a start that seems to be another one, ends nodes.
func TestADamagedQuestionIsNotBelieved(t *testing.T) {
	var sound bytes.Buffer
	said := Reply{UUID: [16]byte{1}, Cluster: [16]byte{2}, Name: "node1", Incarnation: 1, Nonce: 12345}
	if err := writeMessage(&sound, said, nil); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * sound.Len() {
		damaged := bytes.Clone(sound.Bytes())
		damaged[bit/8] ^= 1 << (bit % 8)
		var heard Reply
		if err := readMessage(bytes.NewReader(damaged), replyMax, &heard, nil); err == nil {
			t.Errorf("bit %d turned over: heard %+v", bit, heard)
		}
	}
}

// bent is a transport whose first stream is damaged: in the address that its node says it
// has, and somewhere where that cannot be read.
type bent struct {
	*wire
	addr string // "" from the first stream on
}

func (b *bent) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	c, err := b.wire.DialAddressTimeout(a, timeout)
	if err != nil || b.addr == "" {
		return c, err
	}
	addr := b.addr
	b.addr = ""
	return &bentStream{Conn: c, addr: addr}, nil
}

type bentStream struct {
	net.Conn
	addr string
}

func (s *bentStream) Write(p []byte) (int, error) {
	if len(p) > 2*len(s.addr) { // the label is shorter
		p = bytes.Clone(p)
		at := len(p) / 2
		if i := bytes.Index(p, []byte(s.addr)); i >= 0 {
			at = i + len(s.addr) - 1
		}
		p[at] ^= 1
	}
	return s.Conn.Write(p)
}

// TestADamagedStreamIsNotBelieved: memberlist takes what it hears first of one start of a
// node for true, so a circle kept an address that was damaged on its way until that node
// had news of itself.
func TestADamagedStreamIsNotBelieved(t *testing.T) {
	noLeak(t)
	to := circle(t, 1, "")[0]
	until(t, 5*time.Second, "gossip has begun", func() bool { return to.gossip.current() != nil })
	l := openLine(t, "")
	p := openPort(t, l, "")
	defer p.Close()
	self := to.self
	self.Node, self.GossipAddr, self.ClusterAddr = 3, l.addr(), "a-name-that-is-much-longer-than-the-label-of-a-cluster.example:7001"
	w := newWire(p, to.gossip.current().wire.label, netip.MustParseAddrPort(l.addr()), func(string) {})
	b := &bent{wire: w, addr: self.ClusterAddr}
	c := to.gossip.configure(self, w.label, w)
	d := &liar{meta: AppendMeta(nil, self)}
	c.Transport, c.EnableCompression = b, false
	c.Delegate, c.Events, c.Alive, c.Conflict = d, d, d, nil
	c.Logger = log.New(io.Discard, "", 0)
	list, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = list.Shutdown() }()
	for range 2 { // the first is damaged
		_, err = list.Join([]string{to.addr()})
	}
	if err != nil {
		t.Fatal(err)
	}
	awaitState(t, 5*time.Second, 3, Alive, to)
	if got := to.of(3).Meta; got != self {
		t.Errorf("heard %+v, said was %+v", got, self)
	}
}

package transport

import (
	"fmt"
	"net"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// nowhere is an address that refuses connections.
func nowhere(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestAHintFindsAPeerThatMoved(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	peers := map[shardmap.NodeID]string{2: nowhere(t)}
	a.mux.SetPeers(peers)
	a.mux.Hint(2, b.at)
	for _, c := range classes {
		a.rec.await(t, fmt.Sprintf("up 2 class %d", c))
	}
	a.mux.Datagram(2, []byte("beat"), false)
	b.rec.await(t, "packet 1 beat tcp false")
	a.mux.SetPeers(peers) // the registry still says the old address: what was proven stays
	a.mux.Datagram(2, []byte("again"), false)
	b.rec.await(t, "packet 1 again tcp false")
}

func TestALyingHintCostsADial(t *testing.T) {
	a, b, c := start(t, 1, 7, "secret"), start(t, 2, 7, "secret"), start(t, 3, 7, "secret")
	p := newPeer(a.mux, 2, b.at)
	p.setHint(c.at)
	if up := p.connect(Control, 1); up != 0 {
		t.Fatal("a connection to node 3 was taken for one to node 2")
	}
	a.rec.await(t, "refused: node 2 was dialled at the address of node 3")
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	a.mux.Hint(2, c.at)
	for _, class := range classes {
		a.rec.await(t, fmt.Sprintf("up 2 class %d", class))
	}
	a.mux.Datagram(2, []byte("beat"), false)
	b.rec.await(t, "packet 1 beat tcp false")
}

package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestANameServerThatIsSilentStopsNoLeasePacket: whoever sends lease packets is the one
// thread that keeps all leases, and who receives them shares a lock with it. A name that
// cannot be looked up costs the packets to that peer and nothing else.
func TestANameServerThatIsSilentStopsNoLeasePacket(t *testing.T) {
	asked, back := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		once()
		<-back
		return nil, errors.New("no name server answers")
	}}
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	t.Cleanup(func() {
		close(back)
		a.mux.Close()
		b.mux.Close()
		net.DefaultResolver = was
	})
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	b.mux.SetPeers(map[shardmap.NodeID]string{1: a.at})
	a.mux.udp.setPeers(map[shardmap.NodeID]string{3: "node3.aegis.test:7001"})
	go a.mux.Datagram(3, []byte("lost"), false)
	<-asked
	b.mux.Datagram(1, []byte("in"), false)
	a.rec.await(t, "packet 2 in tcp false")
	go a.mux.Datagram(2, []byte("out"), false)
	b.rec.await(t, "packet 1 out tcp false")
}

// TestANameOfAPeerIsFollowed: packets find a peer by a name.
func TestANameOfAPeerIsFollowed(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	_, port, err := net.SplitHostPort(b.at)
	if err != nil {
		t.Fatal(err)
	}
	a.mux.SetPeers(map[shardmap.NodeID]string{2: net.JoinHostPort("localhost", port)})
	deadline := time.Now().Add(time.Minute)
	for came := false; !came; { // the first ones are lost while the name is looked up
		if time.Now().After(deadline) {
			t.Fatal("never came")
		}
		a.mux.Datagram(2, []byte("beat"), false)
		time.Sleep(time.Millisecond)
		b.rec.mu.Lock()
		came = b.rec.got["packet 1 beat tcp false"] > 0
		b.rec.mu.Unlock()
	}
}

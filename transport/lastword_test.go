package transport

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestALastWordArrivesInTheNameOfTheDead: by UDP and by TCP, after whatever the process
// itself has sent, and by UDP not from a parent with another secret, nor once the next
// incarnation was heard.
func TestALastWordArrivesInTheNameOfTheDead(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	for range 10 {
		a.mux.Datagram(2, []byte("beat"), false)
	}
	b.rec.await(t, "packet 1 beat tcp false")
	peers := a.mux.Peers()
	if peers[2] != b.at || len(peers) != 1 {
		t.Fatalf("the peers are %v, want 2 at %s", peers, b.at)
	}
	a.mux.Close()
	word := LastWord{Self: a.id, Secret: []byte("secret"), Network: TCP{}, Peers: peers}
	say := func(l *LastWord, text string) {
		t.Helper()
		if err := l.Datagrams([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(&word, "over")
	b.rec.await(t, "packet 1 over tcp false")
	say(&word, "again")
	b.rec.await(t, "packet 1 again tcp false")
	word.Streams(t.Context(), []byte("over"))
	b.rec.await(t, "packet 1 over tcp true")
	forged := word
	forged.Secret = []byte("another")
	say(&forged, "forged")
	next := word
	next.Self.Counter++
	next.said = 0
	say(&next, "alive")
	b.rec.await(t, "packet 1 alive tcp false")
	say(&word, "late")
	say(&next, "end")
	b.rec.await(t, "packet 1 end tcp false")
	b.rec.mu.Lock()
	defer b.rec.mu.Unlock()
	for _, never := range []string{"packet 1 forged tcp false", "packet 1 late tcp false"} {
		if b.rec.got[never] != 0 {
			t.Errorf("%q arrived", never)
		}
	}
}

// TestANameThatIsNotFoundHoldsUpNoLastWord: whose address is known is told before names
// are looked up, and a name server that does not answer is not waited for.
func TestANameThatIsNotFoundHoldsUpNoLastWord(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	_, port, _ := net.SplitHostPort(b.at)
	looked := 0
	word := LastWord{Self: a.id, Secret: []byte("secret"), Network: TCP{}, Peers: map[shardmap.NodeID]string{2: b.at, 3: "nobody.answers:" + port}}
	word.lookUp = func(ctx context.Context, _, host string) ([]netip.Addr, error) {
		looked++
		b.rec.await(t, "packet 1 over tcp false")
		if _, ends := ctx.Deadline(); host != "nobody.answers" || !ends {
			t.Errorf("%s is looked up, for ever: %v", host, !ends)
			return nil, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := word.Datagrams([]byte("over")); err != nil || looked != 1 {
		t.Fatalf("%v, %d lookups", err, looked)
	}
	word.Peers = map[shardmap.NodeID]string{2: "there:" + port}
	word.lookUp = func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddrPort(b.at).Addr()}, nil
	}
	if err := word.Datagrams([]byte("found")); err != nil {
		t.Fatal(err)
	}
	b.rec.await(t, "packet 1 found tcp false")
}

package node

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport"
)

// TestAcksAreForTheNewestDataConnection: a node that was stopped reads what its
// peer's broken connection still holds beside the new one. A late frame of the old
// connection changes nothing in the data plane; the acks must not go by its number
// either, because the holder drops them and they are not said again.
func TestAcksAreForTheNewestDataConnection(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	for begun := time.Now(); n.standing() == nil; time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("the node does not stand")
		}
	}
	h, peer := peerHandler{n}, transport.Identity{Cluster: n.cluster, Node: 7}
	tick := []byte{2, 1, 8, 0, 0, 0, 26}
	tick = append(tick, make([]byte, 26)...) // format 2: stamp, echo, time, no groups
	frame := func(conn uint64) {
		if err := h.Frame(peer, transport.Data, conn, tick); err != nil {
			t.Fatal(err)
		}
	}
	frame(1)
	frame(2) // the new connection; a Tick wants its stamp echoed
	frame(1) // what the old one still held
	ack := h.Next(7, transport.Ack, nil)
	if len(ack) < 9 {
		t.Fatal("nothing to say")
	}
	if conn := binary.BigEndian.Uint64(ack[1:]); conn != 2 {
		t.Errorf("what is due on connection 2 is said by the number of connection %d: the holder drops it", conn)
	}
}

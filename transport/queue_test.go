package transport

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWhatWaitsForAllPeersIsBounded: 96 MiB for each peer were counted against the memory
// of a node and enforced for none. What was given up for one that left is free for others.
func TestWhatWaitsForAllPeersIsBounded(t *testing.T) {
	const most, frame, silent = 1 << 20, 64 << 10, 5
	ln, err := TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := TCP{}.ListenPacket(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Self: Identity{Node: 1, Counter: 1}, Network: TCP{}, QueuesMax: most}, newRecorder(), ln, pc)
	defer m.Close()
	peers := map[shardmap.NodeID]string{}
	for i := range silent {
		peers[shardmap.NodeID(10+i)] = "127.0.0.1:1" // nobody listens there
	}
	m.SetPeers(peers)
	offer := func() (accepted int64) {
		for range 100 {
			for id := range peers {
				if m.Send(id, Bulk, make([]byte, frame)) {
					accepted += frame
				}
			}
		}
		return accepted
	}
	accepted := offer()
	if accepted < most/2 || accepted > most/4*3+silent*frame {
		t.Errorf("%d bytes wait of %d that may", accepted, most)
	}
	if waits := m.QueuedBytes(); waits != accepted {
		t.Errorf("%d bytes wait, counted %d", accepted, waits)
	}
	for range 2 { // the first one would be taken anyway
		if !m.Send(10, Control, []byte("raft")) {
			t.Error("bulk frames kept a small one out")
		}
	}
	m.SetPeers(map[shardmap.NodeID]string{20: "127.0.0.1:1"})
	for begun := time.Now(); m.QueuedBytes() > 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d bytes wait for peers that are gone", m.QueuedBytes())
		}
	}
	peers = map[shardmap.NodeID]string{20: ""}
	if again := offer(); again < most/2 {
		t.Errorf("after the others left %d bytes are taken", again)
	}
}

// TestManyFramesArrive though not all of them go out in one write.
func TestManyFramesArrive(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	const n = 40
	for i := range n {
		a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
		if !a.mux.Send(2, Bulk, bytes.Repeat([]byte{byte(i)}, takeMax/8+i)) {
			t.Fatalf("frame %d was not queued", i)
		}
	}
	for i := range n {
		b.rec.await(t, fmt.Sprintf("frame 1 class 4 bytes %d", takeMax/8+i))
	}
	for begun := time.Now(); a.mux.QueuedBytes() > 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d bytes wait, and all have come", a.mux.QueuedBytes())
		}
	}
}

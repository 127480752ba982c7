package shardgroup

import "testing"

func TestWriteBatchAckMajority(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	a := w.serve(1)
	v := w.must(a, 0, "k", "one")
	a2, err := w.do(a, 1, setCommand("m", "two"), Majority)
	if err != nil {
		t.Fatal(err)
	}
	w.settle("majority ack", func() bool { return w.writes[1].maj })
	w.synced(1, 2, 3)
	if got := w.get(a, 0, "k"); got != "one" {
		t.Fatalf("get = %q", got)
	}
	for _, x := range []struct {
		s int
		v Admission
	}{{0, Admission{Version: v}}, {1, a2}} {
		if verdict, _, err := a.rep().Verdict(shardID(x.s), x.v.Version, w.now); verdict != VerdictDurable || err != nil {
			t.Fatalf("verdict %v %v", verdict, err)
		}
	}
	w.crash(a)
	b := w.serve(2)
	if got := w.get(b, 0, "k"); got != "one" {
		t.Fatalf("after the failover: %q", got)
	}
}

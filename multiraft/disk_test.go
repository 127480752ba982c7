package multiraft

import (
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"
)

// TestAnElectionIsGivenTheTimeOfTheDisks cuts a holder off where every write takes long: those
// who campaign again before votes and first entries are on the disks undo each other, and
// three nodes stood for 7.9 s with writes of 250 ms.
func TestAnElectionIsGivenTheTimeOfTheDisks(t *testing.T) {
	for _, c := range []struct {
		nodes       int
		write, most time.Duration
	}{
		{3, 0, 1400 * ms},
		{3, 120 * ms, 2200 * ms},
		{3, 250 * ms, 2800 * ms},
		{5, 250 * ms, 3200 * ms},
	} {
		t.Run(fmt.Sprintf("%d nodes, %v", c.nodes, c.write), func(t *testing.T) {
			for i := range 20 {
				cryptotest.SetGlobalRandom(t, uint64(i))
				took := time.Duration(0)
				fails, _ := play(t, c.nodes, func(s *script) {
					s.steady()
					for r, x := range s.nodes {
						x.core.SetRank(0, r)
					}
					s.sleep(time.Duration(i) * 21 * ms)
					s.write = c.write
					from := s.now
					for _, o := range s.nodes {
						if o != s.a {
							s.cut[pair(o, s.a)] = true
						}
					}
					s.run(20*time.Second, func() bool { h := s.holder(0); return h != nil && h != s.a })
					took = s.now - from
				})
				for _, f := range fails {
					t.Error(f)
				}
				if took > c.most {
					t.Errorf("cut off %v after a round: the next holder came after %v, wanted %v", time.Duration(i)*21*ms, took, c.most)
				}
			}
		})
	}
}

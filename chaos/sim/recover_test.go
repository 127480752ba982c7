package sim

import (
	"fmt"
	"testing"
	"time"
)

// TestARecoveryAfterAnyMoment lets the second node die at many moments of the takeover that
// the death of the first has brought: what the survivor's log then holds may have been
// decided by the one that died last, or not, and its copy may be of either's epoch. The
// checkers judge every token, and that what a majority had is declared lost if it is.
func TestARecoveryAfterAnyMoment(t *testing.T) {
	for _, lag := range []bool{false, true} {
		for _, left := range []role{nodeB, nodeC} {
			for d := time.Duration(0); d <= 900*ms; d += 15 * ms {
				other := nodeB + nodeC - left
				steps := []Step{do.steady(), do.set(nodeA, "k", "1", majority)}
				if lag { // its data comes late, its raft does not
					steps = append(steps, do.slow(nodeA, left, 40*ms), do.slow(other, left, 40*ms))
				}
				steps = append(steps,
					do.set(nodeA, "k", "2", majority),
					do.set(nodeA, "l@1", "2", async),
					do.losesDisk(nodeA),
					do.sleep(d),
					do.try(nodeB, "k", "3", async),
					do.try(nodeC, "k", "3", async),
					do.try(other, "l@1", "3", majority),
					do.losesDisk(other),
					do.unheard(),
					do.recover(left, nodeA, other),
					do.servedBy(5*sec, left),
					do.get(left, "k"),
					do.judge(left),
					do.set(left, "k", "4", async),
					do.crash(left),
					do.start(left),
					do.servedBy(20*sec, left),
					do.judge(left),
					do.settled(),
				)
				name := fmt.Sprintf("%v is left, the other dies %v after A, late %v", left, d, lag)
				r := RunScript(Script{Name: name, Steps: steps})
				for _, b := range r.Broken {
					t.Errorf("%s: %s", name, b)
				}
				if t.Failed() {
					for _, l := range r.Log {
						t.Log(l)
					}
					return
				}
			}
		}
	}
}

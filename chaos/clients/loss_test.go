package clients

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestLostWritesAreReported makes losses happen: the followers are stopped, the
// leaseholder acknowledges more than the sockets between them can hold, and is
// killed. What is gone afterwards must be reported lost, write by write, and what
// is there must not be.
func TestLostWritesAreReported(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "1GiB --lease-profile noisy")
	holder, others := nodes[0], nodes[1:]
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(holder.addr) })
	led := holders(holder.addr)[holder.name]
	if len(led) == 0 {
		t.Fatal("the node leads nothing")
	}
	value := incompressible(128 << 10)
	a := &asyncWrites{addrs: addresses(nodes)}
	l := lines{}
	defer l.close()
	for _, n := range others {
		n.signal(syscall.SIGSTOP)
	}
	from := time.Now()
	for i := 0; time.Since(from) < noisyLease/2; i++ {
		key := fmt.Sprint("loss:", i)
		group := int(shardmap.DefaultLayout.GroupOf(shardOf(key))) - 1
		if slices.Contains(led, group) {
			a.write(l, holder.addr, key, value)
		}
	}
	holder.kill()
	for _, n := range others {
		n.signal(syscall.SIGCONT)
	}
	holder.start(t)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(others[0].addr) })
	c := newClient(t, a.addrs)
	judged, lost := a.judge(t, c)
	t.Logf("%d writes of 128 KiB acknowledged in %v, %d lost, every one reported", judged, time.Since(from), lost)
	if lost == 0 {
		t.Error("nothing was lost: the test did not do what it is for")
	}
}

// incompressible bytes are as long on the wire as in the store.
func incompressible(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

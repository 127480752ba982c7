package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestASessionReadsWhatItWroteOrIsTold makes losses happen as TestLostWritesAreReported
// does. The session that wrote, and one that goes on with its token, read
// every key again: the value, or a loss told for its shard.
func TestASessionReadsWhatItWroteOrIsTold(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "1GiB --lease-profile noisy")
	holder, others := nodes[0], nodes[1:]
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(holder.addr) })
	led := holders(holder.addr)[holder.name]
	addrs := addresses(nodes)
	s := newClient(t, addrs).Session()
	value := []byte(incompressible(128 << 10))
	if err := s.Set(t.Context(), "warm", nil); err != nil { // knows the cluster before it stands still
		t.Fatal(err)
	}
	written := map[shardmap.ShardID][]string{}
	for _, n := range others {
		n.signal(syscall.SIGSTOP)
	}
	acked := 0
	from := time.Now()
	for i := 0; time.Since(from) < noisyLease/2; i++ {
		key := fmt.Sprint("session:", i)
		shard := shardOf(key)
		if !slices.Contains(led, int(shardmap.DefaultLayout.GroupOf(shard))-1) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), noisyLease/2-time.Since(from))
		if s.Set(ctx, key, value) == nil {
			written[shard] = append(written[shard], key)
			acked++
		}
		cancel()
	}
	token := s.Token()
	holder.kill()
	for _, n := range others {
		n.signal(syscall.SIGCONT)
	}
	holder.start(t)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(others[0].addr) })
	resumed, err := newClient(t, addrs).ResumeSession(token)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*client.Session{"the session": s, "its token elsewhere": resumed} {
		lost, told := readBack(t, s, written)
		t.Logf("%s: %d writes acknowledged in %d shards, %d lost, %d losses told", name, acked, len(written), lost, told)
		if lost == 0 {
			t.Error("nothing was lost: the test did not do what it is for")
		}
	}
}

// readBack reads all that was written, shard by shard, and demands that a shard with something
// missing was told to be so before, and that no other was.
func readBack(t *testing.T, s *client.Session, written map[shardmap.ShardID][]string) (lost, told int) {
	t.Helper()
	for shard, keys := range written {
		missing, tells := 0, 0
		for _, key := range keys {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := s.Get(ctx, key)
			for errors.Is(err, client.ErrLostWrites) {
				tells++
				_, err = s.Get(ctx, key)
			}
			cancel()
			switch {
			case errors.Is(err, client.ErrNotFound) && tells == 0:
				t.Errorf("%s of shard %d is gone and nobody was told", key, shard)
				missing++
			case errors.Is(err, client.ErrNotFound):
				missing++
			case err != nil:
				t.Errorf("%s: %v", key, err)
			}
		}
		if missing == 0 && tells > 0 {
			t.Errorf("shard %d lost nothing and was told to", shard)
		}
		lost, told = lost+missing, told+tells
	}
	return lost, told
}

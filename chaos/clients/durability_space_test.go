package clients

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// spaceShare: log and image take so many times what lives, at most.
const spaceShare = 3

// TestDurabilityDiskSpace overwrites the same keys twenty times in a node with --wal fsync:
// two checkpoints later its log and its image take three times the live data at most.
// AEGIS_TEST_SPACE says how many MB that is; the bar's own number is 100. Of less the log's
// least is more than that, and what is judged is that checkpoints cut it.
func TestDurabilityDiskSpace(t *testing.T) {
	t.Parallel()
	const size, rounds = 1000, 20
	live := 1_000_000 * times(t, "AEGIS_TEST_SPACE", 10)
	n := launch(t, 1, "512MiB --lease-profile noisy --wal fsync")[0]
	until(t, time.Minute, "the node serves", func() bool { return ask(n.addr, "set", "ready", "v") == "OK" })
	from, most := time.Now(), int64(0)
	for round := range rounds {
		writeOver(t, n, live/size, size, uint64(round))
		most = max(most, diskSpace(t, n))
	}
	written := time.Since(from)
	for range 2 {
		checkpoint(t, n)
	}
	used := diskSpace(t, n)
	t.Logf("%d MB of values written %d times in %v: %.1f MB of disk at most, %.1f MB after two checkpoints: %.2f times what lives",
		live/1_000_000, rounds, written.Round(time.Second), float64(most)/1e6, float64(used)/1e6, float64(used)/float64(live))
	if bar := max(int64(spaceShare*live), spaceLeast+int64(live)); used > bar {
		t.Errorf("%d bytes of log and image for %d that live, %d are the most", used, live, bar)
	}
}

// spaceLeast is what a log of this node takes whatever lives: as much as its rings hold, and
// a segment of 64 MiB, because nothing smaller can be dropped.
const spaceLeast = 128 << 20

// writeOver gives every key another value that does not get shorter by being packed.
func writeOver(t *testing.T, n *restartable, keys, size int, seed uint64) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{byte(seed), 7})
	c := redis.NewClient(&redis.Options{Addr: n.addr, MaxRetries: -1, ReadTimeout: time.Minute})
	defer func() { _ = c.Close() }()
	value := make([]byte, size)
	for first := 0; first < keys; first += 500 {
		_, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := first; i < min(first+500, keys); i++ {
				_, _ = random.Read(value)
				p.Set(t.Context(), fmt.Sprintf("space:%08d", i), string(value), 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkpoint has a node make an image of what it holds by now, and waits for it.
func checkpoint(t *testing.T, n *restartable) {
	t.Helper()
	asked := infoField(n.addr, "persistence", "aegis_time_ms")
	until(t, 2*time.Minute, "an image is made", func() bool {
		if at := infoField(n.addr, "persistence", "aegis_last_save_begun_ms"); len(at) == len(asked) && at >= asked {
			return true
		}
		ask(n.addr, "bgsave")
		return false
	})
}

// diskSpace is what log and image of a node take, by blocks that are in use.
func diskSpace(t *testing.T, n *restartable) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(n.dir, "data", n.name), func(path string, d os.DirEntry, err error) error {
		if name := filepath.Base(path); err == nil && (strings.HasSuffix(name, ".wal") || strings.HasPrefix(name, "image.db")) {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

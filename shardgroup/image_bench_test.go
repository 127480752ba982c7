package shardgroup

import (
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

var (
	spaceBytes   = flag.Int("space", 6<<20, "bytes of data that TestDiskSpace overwrites 20 times")
	imageEntries = flag.Int("entries", 200_000, "entries of the benchmarks of images")
)

// kept is a node with a log and an image on the disk, and nobody around it.
type kept struct {
	tb      testing.TB
	n       *Node
	cfg     Config
	dir     string
	wal     wal.Config
	log     *wal.Log
	image   *image.Image
	counts  image.Counts
	layout  shardmap.Layout
	seq     []uint64 // of each shard
	val     [100]byte
	scratch []byte
}

func keepOnDisk(tb testing.TB, shards int, storeBytes int64, segment int64) *kept {
	k := &kept{tb: tb, dir: tb.TempDir(), layout: shardmap.Layout{Shards: shards, Groups: 1}, seq: make([]uint64, shards)}
	for groups := 1; shards/groups > 4; groups *= 2 {
		k.layout.Groups = groups * 2
	}
	k.cfg = Config{Layout: k.layout, Secret: 7, BudgetBytes: storeBytes / int64(shards), Pool: lru.NewPool(storeBytes * 2), RingBytes: int64(shards) * 64 << 10}
	disk, err := wal.OpenDisk(filepath.Join(k.dir, "wal"))
	if err != nil {
		tb.Fatal(err)
	}
	k.wal = wal.Config{FS: disk, Mode: wal.Write, Boot: [16]byte{1}, Shards: shards, SegmentBytes: segment}
	k.start(true)
	tb.Cleanup(func() { k.stop() })
	return k
}

// start makes the node anew out of what is on the disk, and says how long the image took,
// and the log.
func (k *kept) start(founding bool) (fromImage, fromLog time.Duration) {
	must := k.must
	n, err := NewNode(k.cfg, nil, deaf{})
	must(err)
	for g := 1; g <= k.layout.Groups; g++ {
		if founding {
			n.Create(shardmap.GroupID(g), 1, multiraft.RoleVoter)
		} else {
			n.Join(shardmap.GroupID(g), 1, multiraft.RoleVoter)
		}
	}
	k.image, err = image.Open(image.Config{Path: filepath.Join(k.dir, "image.db"), Shards: k.layout.Shards})
	must(err)
	cfg := k.wal
	from, err := k.image.From()
	must(err)
	cfg.From, cfg.Durable = wal.LSN(from), wal.LSN(k.image.UpTo())
	begun := time.Now()
	for id := range k.layout.Shards {
		must(k.image.Load(uint16(id), n.Loading(shardmap.ShardID(id))))
	}
	fromImage = time.Since(begun)
	begun = time.Now()
	r, err := wal.Recover(cfg, restoring{n})
	must(err)
	fromLog = time.Since(begun)
	k.log, err = r.Begin([16]byte{})
	must(err)
	n.SetLog(k.log, multiraft.Incarnation{Counter: 1})
	k.n = n
	return fromImage, fromLog
}

func (k *kept) must(err error) {
	k.tb.Helper()
	if err != nil {
		k.tb.Fatal(err)
	}
}

func (k *kept) stop() {
	if k.n == nil {
		return
	}
	k.must(k.log.Close())
	k.must(k.image.Close())
	for g := 1; g <= k.layout.Groups; g++ {
		for _, s := range k.n.Replica(shardmap.GroupID(g)).shards {
			s.m.Close()
		}
	}
	k.n = nil
}

// set writes 16 bytes of key and 100 of value, as a follower would.
func (k *kept) set(i uint64) {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], i*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(key[8:], i)
	id := shardmap.ShardID(i % uint64(k.layout.Shards))
	s := k.n.ReplicaOf(id).shard(id)
	k.seq[id]++
	for j := range k.val {
		k.val[j] = byte((i+k.seq[id])*uint64(j+1)*0x9e3779b97f4a7c15>>56) | 1
	}
	k.scratch = statemachine.AppendRecord(k.scratch[:0], &statemachine.Record{
		Version: shardmap.MakeVersion(1, k.seq[id]), Prev: s.m.Position(), Op: statemachine.OpSet, Key: key[:], Value: k.val[:],
	})
	s.mu.Lock()
	s.play(k.scratch, false)
	s.mu.Unlock()
	if k.log.Backlog() > 1<<20 {
		_, err := k.log.Commit()
		k.must(err)
	}
}

// save makes an image and lets go of the log, all of it that is not needed.
func (k *kept) save() {
	v, err := k.image.Begin(image.Hooks{
		Durable: func(uint64) error {
			if _, err := k.log.Commit(); err != nil {
				return err
			}
			return k.log.Sync()
		},
		Saved: func(r *image.Row) { k.n.Imaged(r) },
		Pause: func() {},
	})
	k.must(err)
	limit := k.log.End()
	for id := range k.layout.Shards {
		k.must(v.Shard(uint16(id), k.n.Checkpoint(shardmap.ShardID(id))))
	}
	k.must(v.Finish(1))
	from := k.n.ReleaseLog(limit, multiraft.Instant{})
	k.must(k.image.SetFrom(uint64(from)))
	_, err = k.log.DropBelow(from)
	k.must(err)
	k.counts = v.Counts
}

// size is what log and image take on the disk.
func (k *kept) size() (logBytes, imageBytes int64) {
	info, err := os.Stat(filepath.Join(k.dir, "image.db"))
	k.must(err)
	return k.log.Bytes(), info.Size()
}

// TestDiskSpace overwrites the same data 20 times with an image after each: log and image
// stay below three times the data, and all of it comes back.
func TestDiskSpace(t *testing.T) {
	entries := uint64(*spaceBytes / 116)
	data := int64(entries) * 116
	k := keepOnDisk(t, 16, data*2, max(64<<10, data/20))
	most := int64(0)
	for range 20 {
		for i := range entries {
			k.set(i)
		}
		k.save()
		l, i := k.size()
		most = max(most, l+i)
	}
	l, i := k.size()
	t.Logf("%d bytes of data: log %d, image %d, most of both after an image %.2f times the data", data, l, i, float64(most)/float64(data))
	if l+i > 3*data {
		t.Errorf("log and image take %.2f times the data", float64(l+i)/float64(data))
	}
	digests := func() (list []uint64) {
		for id := range k.layout.Shards {
			list = append(list, k.n.ReplicaOf(shardmap.ShardID(id)).shard(shardmap.ShardID(id)).m.Digest())
		}
		return list
	}
	before := digests()
	k.stop()
	k.start(false)
	for id, d := range digests() {
		if s := k.n.ReplicaOf(shardmap.ShardID(id)).shard(shardmap.ShardID(id)); !s.whole || d != before[id] {
			t.Errorf("shard %d comes back whole %v with another digest than it had", id, s.whole)
		}
	}
}

// cpuTime is what this process has used: the machine may be shared.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkImage saves all entries, then a hundredth of them changed, and reads them back,
// from the image and, beside it, from the log.
func BenchmarkImage(b *testing.B) {
	n := uint64(*imageEntries)
	for range b.N {
		k := keepOnDisk(b, 64, int64(n)*250+64<<20, 64<<20)
		for i := range n {
			k.set(i)
		}
		_, err := k.log.Commit()
		k.must(err)
		k.stop()
		_, fromLog := k.start(false)
		begun := time.Now()
		k.save()
		full, bytes := time.Since(begun), k.counts.Bytes
		for i := uint64(0); i < n; i += 100 {
			k.set(i)
		}
		begun = time.Now()
		k.save()
		again := time.Since(begun)
		_, size := k.size()
		k.stop()
		busy := cpuTime()
		fromImage, _ := k.start(false)
		busy = cpuTime() - busy
		b.ReportMetric(float64(n)/fromImage.Seconds(), "image-entries/s")
		b.ReportMetric(float64(n)/busy.Seconds(), "image-entries/cpu-s")
		b.ReportMetric(float64(n)/fromLog.Seconds(), "log-records/s")
		b.ReportMetric(float64(n)/full.Seconds(), "saved-entries/s")
		b.ReportMetric(again.Seconds()*1e3, "ms/1%-changed")
		b.ReportMetric(float64(k.counts.Written)/float64(k.counts.Written+k.counts.Kept)*100, "%blocks-written-1%-changed")
		b.ReportMetric(float64(bytes)/float64(n*116), "stored/raw")
		b.ReportMetric(float64(size)/float64(n*116), "file/raw")
		k.stop()
	}
}

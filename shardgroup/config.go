package shardgroup

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Recovery says what a takeover does when too few copies answer.
type Recovery uint8

// Policies of Recovery.
const (
	RecoverAvailable Recovery = iota // go on with the best copy and say so
	RecoverStrict                    // stay down until enough copies answer
)

// Solo says what a holder does when no other seat is live.
type Solo uint8

// Policies of Solo.
const (
	SoloAccept Solo = iota // declare the exposure in raft, then go on writing
	SoloReject             // refuse beyond the tail bound
)

// Config fixes what a Node is. Zero durations and sizes mean the defaults.
type Config struct {
	Self    multiraft.Member      // its incarnation is that of the data: SetLog may say an older one
	Process multiraft.Incarnation // of this process, which is multiraft's; zero = that of Self
	Layout  shardmap.Layout       // at most MaxShards shards per group
	Secret  uint64                // the cluster's hash key

	BudgetBytes   int64     // per shard copy; Replica.SetBudget changes it
	ValueBytesMax int64     // longest value, 0 = derived from the budget
	Pool          *lru.Pool // memory of all stores; nil = the Go heap
	RingBytes     int64     // all rings of the node, 64 MiB
	BlockBytes    int       // one ring block, 64 KiB

	Lease     time.Duration // L of leases, 600 ms: part of the shard-time ceiling
	TickEvery time.Duration // between TICK frames, 100 ms
	TailAge   time.Duration // 250 ms
	TailBytes int64         // per group, 16 MiB
	DelayMax  time.Duration // 50 ms
	Grace     time.Duration // 25 ms
	Deadline  time.Duration // of a takeover, 500 ms
	EmptyWait time.Duration // 10 s
	LogWait   time.Duration // for copies that read their logs after a restart of all, 30 s
	FillBytes int           // most bytes of one bulk chunk, 64 KiB
	// FillRate is how many bytes a second this node sends of fills, to all peers together;
	// 0 = as many as they take.
	FillRate int64
	// FillPercent is how much of a core this node spends on fills; 0 = as much as they take.
	FillPercent int
	// Spent does something and says how long the processor worked on it, where FillPercent
	// is to be kept: this room reads no clock. nil = nobody counts.
	Spent func(do func()) time.Duration
	// CompareBytes is from how many bytes on a shard is compared with a copy that has
	// something before it is filled, 64 KiB.
	CompareBytes int

	ImageBlockBytes int // about what one block of the image has, 8 KiB

	Recovery Recovery
	Solo     Solo
	Factor   int // configured replicas, for the refusal of majority writes; 3
}

// withDefaults fills in what was left out and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if err := c.Layout.Validate(); err != nil {
		return c, err
	}
	if n := c.Layout.ShardsPerGroup(); n > MaxShards {
		return c, fmt.Errorf("shardgroup: %d shards per group, at most %d", n, MaxShards)
	}
	if c.Process == (multiraft.Incarnation{}) {
		c.Process = c.Self.Inc
	}
	setSize(&c.BudgetBytes, 64<<20)
	setSize(&c.RingBytes, 64<<20)
	setSize(&c.TailBytes, 16<<20)
	setInt(&c.BlockBytes, 64<<10)
	setInt(&c.FillBytes, 64<<10)
	setInt(&c.ImageBlockBytes, 8<<10)
	setInt(&c.CompareBytes, 64<<10)
	setInt(&c.Factor, 3)
	setDuration(&c.Lease, 600*time.Millisecond)
	setDuration(&c.TickEvery, 100*time.Millisecond)
	setDuration(&c.TailAge, 250*time.Millisecond)
	setDuration(&c.DelayMax, 50*time.Millisecond)
	setDuration(&c.Grace, 25*time.Millisecond)
	setDuration(&c.Deadline, 500*time.Millisecond)
	setDuration(&c.EmptyWait, 10*time.Second)
	setDuration(&c.LogWait, 30*time.Second)
	return c, nil
}

func setSize(p *int64, v int64) {
	if *p == 0 {
		*p = v
	}
}

func setInt(p *int, v int) {
	if *p == 0 {
		*p = v
	}
}

func setDuration(p *time.Duration, v time.Duration) {
	if *p == 0 {
		*p = v
	}
}

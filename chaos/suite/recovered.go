package suite

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// What a node makes of its log is judged by reading it here before the node does (P15):
// it holds all that the node had answered for, no byte of it is damaged that nobody has
// damaged, and the node reads as far as whole frames go, and no further.

// found is the log of a node that is about to be started.
type found struct {
	node    int
	at      time.Time
	since   time.Duration // the node's end, or a little later
	end     wal.LSN
	damages []wal.Damage
	highest map[shardmap.ShardID]shardmap.Version
	harmed  bool // the suite has damaged it
}

// Frame implements wal.Visitor.
func (f *found) Frame(fr *wal.Frame) error {
	id := shardmap.ShardID(fr.Shard)
	f.highest[id] = max(f.highest[id], shardgroup.FrameVersion(fr))
	return nil
}

// Damaged implements wal.Visitor.
func (f *found) Damaged(uint16) {}

// Progress implements wal.Visitor.
func (f *found) Progress(int64, int64) {}

// look reads the log of a node that does not run.
func (r *run) look(node int) {
	if r.wal() == "off" {
		return
	}
	f := &found{node: node, at: time.Now(), since: r.l.now(), highest: map[shardmap.ShardID]shardmap.Version{}, harmed: r.harmed[node]}
	r.harmed[node] = false
	disk, err := wal.LookInto(filepath.Join(r.c.Nodes[node].Dir(), "wal"))
	if err != nil {
		return // it was wiped
	}
	cfg, err := wal.Describe(disk)
	if err != nil {
		return
	}
	cfg.Boot = wal.Boot()
	rec, err := wal.Recover(cfg, f)
	if err != nil {
		r.broken = append(r.broken, fmt.Sprintf("P15: the log of %s cannot be read: %v", r.c.Nodes[node].Name, err))
		return
	}
	f.end, f.damages = rec.End, rec.Damages
	r.found = append(r.found, f)
}

// recovered judges what nodes read of their logs.
func (r *run) recovered(told []chaos.Told) {
	for _, f := range r.found {
		name := r.c.Nodes[f.node].Name
		if end, ok := r.readUpTo(f); ok && end != f.end {
			r.broken = append(r.broken, fmt.Sprintf("P15: %s has read its log up to %d, and whole frames go up to %d, at %v", name, end, f.end, f.since))
		}
		if f.harmed {
			continue
		}
		if len(f.damages) > 0 {
			r.broken = append(r.broken, fmt.Sprintf("P15: the log of %s is damaged, and nobody has damaged it: %s, at %v", name, f.damages[0].Why, f.since))
		}
		r.answered(f, told)
	}
	if r.wal() == "off" { // there is no log to look at
		return
	}
	c := logCheck(len(r.found))
	c.Broken = r.brokenOf("P15")
	r.res.Checks = append(r.res.Checks, c)
}

// answered wants everything in the log that the node had answered for.
func (r *run) answered(f *found, told []chaos.Told) {
	addr := r.c.Nodes[f.node].Addr()
	for i := range told {
		o := &told[i]
		if o.Outcome != chaos.OK || o.Kind == chaos.Read || o.Node != addr || o.End > f.since {
			continue
		}
		shard := r.layout.ShardOf(shardmap.SlotOfString(o.Key))
		if has, any := f.highest[shard]; any && has < o.Version {
			r.broken = append(r.broken, fmt.Sprintf("P15: shard %d: %s had acknowledged version %v and its log ends with %v, at %v", shard, r.c.Nodes[f.node].Name, o.Version, has, f.since))
			return
		}
	}
}

// readUpTo is what the node said that it had read, when it started next.
func (r *run) readUpTo(f *found) (end wal.LSN, ok bool) {
	log, err := os.Open(r.c.Nodes[f.node].LogPath())
	if err != nil {
		return 0, false
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			TS  time.Time `json:"ts"`
			Msg string    `json:"msg"`
			End wal.LSN   `json:"end"`
		}
		if json.Unmarshal(lines.Bytes(), &l) == nil && strings.HasPrefix(l.Msg, "the write-ahead log was read") && l.TS.After(f.at) {
			return l.End, true
		}
	}
	return 0, false
}

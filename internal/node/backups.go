package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// backups are the walks over what shards held at a moment, for those who take a copy of the
// cluster away. They ask for it piece by piece on the client port: files that each node
// writes for itself would have to be gathered from all machines afterwards.
type backups struct {
	mu    sync.Mutex // guards walks
	walks map[uint64]*backupWalk
}

// backupWalk is a walk that somebody asks for. Whoever does not ask any more is not waited
// for: what changes meanwhile is kept for him.
type backupWalk struct {
	mu   sync.Mutex // held while a piece is taken: two connections may name one walk
	past *shardgroup.Past
	slot shardmap.Slot
	idle *time.Timer
}

const (
	backupsMax  = 2 // walks of a node at a time: what they keep is bounded, and they take its processors
	backupPart  = 8 // of the transfers' memory is what a walk may keep
	backupIdle  = 30 * time.Second
	backupStep  = 64 << 10  // bytes that are copied in one hold of a shard
	backupPiece = 512 << 10 // of an answer
)

// What pieces look like: a byte that says whether others follow, and entries as
// statemachine.EachEntry reads them.
const (
	BackupFormat      = 1 // rises when that changes
	BackupEnds   byte = 0 // this is the last one
	BackupGoes   byte = 1 // others follow
)

// BackupCluster is what a node says of the cluster to who begins to copy it.
type BackupCluster struct {
	Format       int    `json:"format"` // of the pieces
	Version      string `json:"version"`
	Cluster      string `json:"cluster"`
	Shards       int    `json:"shards"`
	Groups       int    `json:"groups"`
	Factor       int    `json:"replicationFactor"`
	VirtualNodes int    `json:"virtualNodes"`
}

// BackupShard is what a walk shows: one shard at one moment.
type BackupShard struct {
	Walk    string           `json:"walk"`
	Shard   shardmap.ShardID `json:"shard"`
	First   shardmap.Slot    `json:"firstSlot"`
	Last    shardmap.Slot    `json:"lastSlot"`
	Version shardmap.Version `json:"version"` // of the last write in it
	Epoch   uint32           `json:"epoch"`   // of that
	Time    int64            `json:"time"`    // shard time, unix ms: what was dead by then is not in it
	Keys    int              `json:"keys"`
	Bytes   int64            `json:"bytes"` // of keys and values
}

// backup runs the words behind AEGIS.ADMIN BACKUP.
func (b backend) backup(s *session, words []string) ([]byte, error) {
	if b.n.redis.Loading() {
		return nil, redis.ErrLoading
	}
	if len(words) == 1 && words[0] == "info" {
		f := b.n.founded.Settings
		return json.Marshal(BackupCluster{BackupFormat, Version, hex.EncodeToString(b.n.cluster[:]), f.Shards, f.Groups, f.ReplicationFactor, f.VirtualNodes})
	}
	if len(words) != 2 {
		return nil, redis.ReplyError("ERR usage: AEGIS.ADMIN BACKUP info | begin SHARD | next WALK | end WALK")
	}
	switch words[0] {
	case "begin":
		return b.beginBackup(s, words[1])
	case "next":
		return b.nextBackup(s, words[1])
	case "end":
		b.n.backups.end(words[1])
		return []byte("{}"), nil
	}
	return nil, redis.ReplyError(fmt.Sprintf("ERR unknown word %q behind AEGIS.ADMIN BACKUP: info, begin, next, end", words[0]))
}

func (b backend) beginBackup(s *session, word string) ([]byte, error) {
	id, err := strconv.ParseUint(word, 10, 16)
	layout := b.n.routes.Load().Layout()
	if err != nil || int(id) >= layout.Shards {
		return nil, redis.ReplyError(fmt.Sprintf("ERR no shard %q: there are %d, from 0 on", word, layout.Shards))
	}
	shard := shardmap.ShardID(id)
	slot, r, err := b.shard(shard)
	if err != nil {
		return nil, err
	}
	past, a, err := r.Freeze(shard, divide(b.n.cfg.MaxMemoryBytes).transfers/backupPart, s.clock())
	if errors.Is(err, shardgroup.ErrFrozen) {
		return nil, redis.ReplyError("ERR this shard is being copied by another: try again")
	} else if err != nil {
		return nil, b.refuse(s, slot, a, err)
	}
	s.touch(r, a.Lease)
	walk, ok := b.n.backups.begin(past, slot)
	if !ok {
		past.End()
		return nil, redis.ReplyError(fmt.Sprintf("ERR %d shards of this node are being copied by others: try again", backupsMax))
	}
	m := BackupShard{Walk: walk, Shard: shard, Version: past.Position(), Epoch: past.Position().Epoch(), Time: past.Time(), Keys: past.Keys(), Bytes: past.Bytes()}
	m.First, m.Last = layout.SlotRange(shard)
	return json.Marshal(m)
}

// nextBackup answers the next piece, and behind the last one forgets the walk.
func (b backend) nextBackup(s *session, walk string) ([]byte, error) {
	w := b.n.backups.find(walk)
	if w == nil {
		return nil, redis.ReplyError(fmt.Sprintf("ERR there is no copy %q under way here: the node was restarted, or nobody asked for %v", walk, backupIdle))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	out, more := []byte{BackupGoes}, true
	for more && len(out) < backupPiece {
		var a shardgroup.Admission
		var err error
		if out, more, a, err = w.past.Next(backupStep, out, s.clock()); err != nil {
			b.n.backups.end(walk)
			return nil, redis.ReplyError(fmt.Sprintf("ERR the copy of the shard of slot %d cannot go on: %v", w.slot, err))
		}
		s.touch(w.past.Replica(), a.Lease)
		s.fresh = false // long pieces: each step reads the clock
	}
	if w.idle.Reset(backupIdle); !more {
		out[0] = BackupEnds
		b.n.backups.end(walk)
	}
	return out, nil
}

// begin files a walk, if there is room for another.
func (x *backups) begin(past *shardgroup.Past, slot shardmap.Slot) (walk string, ok bool) {
	id := rand.Uint64()
	walk = strconv.FormatUint(id, 16)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.walks) >= backupsMax {
		return "", false
	}
	if x.walks == nil {
		x.walks = map[uint64]*backupWalk{}
	}
	x.walks[id] = &backupWalk{past: past, slot: slot, idle: time.AfterFunc(backupIdle, func() { x.end(walk) })}
	return walk, true
}

func (x *backups) find(walk string) *backupWalk {
	id, _ := strconv.ParseUint(walk, 16, 64)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.walks[id]
}

// end forgets a walk, and what was kept for it.
func (x *backups) end(walk string) {
	id, _ := strconv.ParseUint(walk, 16, 64)
	x.mu.Lock()
	w := x.walks[id]
	delete(x.walks, id)
	x.mu.Unlock()
	if w != nil {
		w.idle.Stop()
		w.past.End()
	}
}

// keptBytes is what all walks keep beside the stores.
func (x *backups) keptBytes() (n int64) {
	x.mu.Lock()
	var all []*backupWalk
	for _, w := range x.walks {
		all = append(all, w)
	}
	x.mu.Unlock()
	for _, w := range all {
		n += w.past.KeptBytes()
	}
	return n
}

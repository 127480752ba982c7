package node

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

var levelWords = map[string]shardgroup.Level{"async": shardgroup.Async, "majority": shardgroup.Majority, "all": shardgroup.All}

// ackLevel is what a write waits for.
type ackLevel struct {
	copies shardgroup.Level
	disks  bool // +fsync: each of them on its disk
}

const plusFsync = "+fsync"

// ParseLevel reads an ack level, for a node with a log of that mode.
func ParseLevel(word string, log wal.Mode) (l ackLevel, err error) {
	of, disks := strings.CutSuffix(word, plusFsync)
	copies, ok := levelWords[of]
	switch {
	case !ok:
		return l, fmt.Errorf("unknown ack level %q: use async, majority or all, or one of them with %s behind it", word, plusFsync)
	case disks && log == wal.Off:
		return l, fmt.Errorf("ack level %q needs a write-ahead log, and this node runs without one: start it with --wal write or fsync, or use %s", word, of)
	}
	return ackLevel{copies, disks}, nil
}

// String is the level's word.
func (l ackLevel) String() string {
	for w, v := range levelWords {
		if v == l.copies && l.disks {
			return w + plusFsync
		} else if v == l.copies {
			return w
		}
	}
	return "?"
}

// SetLevel implements redis.Backend.
func (b backend) SetLevel(rs *redis.Session, word string) (string, error) {
	s := state(rs)
	switch word {
	case "":
	case "default":
		s.level = b.n.level
	default:
		l, err := ParseLevel(word, b.n.cfg.WAL)
		if err != nil {
			return "", redis.ReplyError("ERR " + err.Error())
		}
		s.level = l
	}
	return s.level.String(), nil
}

// Token implements redis.Backend: "1:<cluster>:<shard>.<version>,...", with a + behind a
// version that is not the write's own but the shard's a little later.
func (b backend) Token(rs *redis.Session, marks []redis.Mark) string {
	var all []redis.Mark
	for shard, w := range state(rs).written.all {
		all = append(all, redis.Mark{Shard: shard, Version: w.version})
	}
	marks = append(all, marks...)
	slices.SortStableFunc(marks, func(x, y redis.Mark) int {
		return cmp.Or(cmp.Compare(x.Shard, y.Shard), cmp.Compare(y.Version, x.Version))
	})
	marks = slices.CompactFunc(marks, func(x, y redis.Mark) bool { return x.Shard == y.Shard }) // the newest stays
	var t strings.Builder
	t.WriteString("1:" + hex.EncodeToString(b.n.cluster[:]) + ":")
	comma := ""
	for _, m := range marks {
		t.WriteString(comma + m.String())
		comma = ","
	}
	return t.String()
}

var errToken = redis.ReplyError("ERR the token cannot be read: take it from AEGIS.TOKEN")

// parseToken reads what Token wrote, for a cluster of so many shards.
func parseToken(token string, shards int) (cluster string, marks []redis.Mark, err error) {
	parts := strings.SplitN(token, ":", 3)
	if len(parts) != 3 || parts[0] != "1" {
		return "", nil, errToken
	}
	if parts[2] == "" {
		return parts[1], nil, nil
	}
	for f := range strings.SplitSeq(parts[2], ",") {
		sh, ver, ok := strings.Cut(f, ".")
		id, err1 := strconv.ParseUint(sh, 10, 16)
		ver, atMost := strings.CutSuffix(ver, "+")
		v, err2 := strconv.ParseUint(ver, 10, 63)
		if !ok || err1 != nil || err2 != nil || int(id) >= shards || len(marks) >= shards {
			return "", nil, errToken
		}
		marks = append(marks, redis.Mark{Shard: shardmap.ShardID(id), Version: shardmap.Version(v), AtMost: atMost})
	}
	return parts[1], marks, nil
}

// Check implements redis.Backend. A shard served elsewhere is "unknown" here
// unless its loss is known, because only its holder can say more.
func (b backend) Check(rs *redis.Session, token string) ([]redis.Verdict, error) {
	s := state(rs)
	cluster, marks, err := parseToken(token, b.n.routes.Load().Layout().Shards)
	if err != nil {
		return nil, err
	}
	var out []redis.Verdict
	for _, m := range marks {
		word := shardgroup.VerdictUnknown
		if cluster == hex.EncodeToString(b.n.cluster[:]) {
			word = b.judge(s, m.Shard, m.Version)
		}
		if m.AtMost && word == shardgroup.VerdictLost {
			word = shardgroup.VerdictUnknown // the write may be one of those that were kept
		}
		out = append(out, redis.Verdict{Shard: m.Shard, Version: m.Version, Word: word.String(), AtMost: m.AtMost})
	}
	return out, nil
}

func (b backend) judge(s *session, shard shardmap.ShardID, v shardmap.Version) shardgroup.Verdict {
	r := b.n.core.Data().ReplicaOf(shard)
	if r == nil {
		return shardgroup.VerdictUnknown
	}
	verdict, a, err := r.Verdict(shard, v, s.clock())
	if err != nil {
		return shardgroup.VerdictUnknown
	}
	if a.Lease != nil {
		s.touch(r, a.Lease)
	}
	return verdict
}

// Map implements redis.Backend.
func (b backend) Map() *shardmap.Map { return b.n.routes.Load() }

// Self implements redis.Backend.
func (b backend) Self() shardmap.NodeID { return b.n.self }

// Links implements redis.Backend.
func (b backend) Links() (links []redis.Link) {
	for _, l := range b.n.mux.Links() {
		links = append(links, redis.Link(l))
	}
	return links
}

// TooLargeText implements redis.Backend.
func (b backend) TooLargeText() string {
	return fmt.Sprintf(": the longest is %d bytes, a quarter of a shard's memory, but 1 MiB at least and 64 MiB at most; give all nodes more --max-memory-bytes, or store it in parts", b.n.valueMax.Load())
}

// ResetStats implements redis.Backend.
func (b backend) ResetStats() {
	b.n.counts.hits.Store(0)
	b.n.counts.misses.Store(0)
}

// Settings implements redis.Backend.
func (b backend) Settings() [][2]string {
	return [][2]string{
		{"appendonly", yesNo(b.n.durable != nil)},
		{"appendfsync", b.n.durable.policy()},
		{"save", ""},
		{"maxmemory", strconv.FormatInt(b.n.cfg.MaxMemoryBytes, 10)},
		{"maxmemory-policy", "allkeys-lru"},
		{"databases", "1"},
		{"cluster-enabled", "yes"},
		{"maxclients", strconv.Itoa(b.n.redis.ClientsMax())},
		{"port", portOf(b.n.cfg.ClientAddr)},
		{"timeout", "0"},
		{"num-shards", strconv.Itoa(b.n.routes.Load().Layout().Shards)}, // our Go client asks
		{"proto-max-bulk-len", strconv.Itoa(redis.DefaultConfig().BulkMax)},
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func portOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		return addr[i+1:]
	}
	return ""
}

// Info implements redis.Backend.
func (b backend) Info() []redis.InfoSection {
	var keys, held, evicted int64
	layout := b.n.routes.Load().Layout()
	for g := 1; g <= layout.Groups; g++ {
		r := b.n.core.Data().Replica(shardmap.GroupID(g))
		if r == nil {
			continue
		}
		evicted += r.Evicted()
		if r.Lease() != nil {
			held++
			keys += int64(r.Len())
		}
	}
	n, data := strconv.FormatInt, b.n.core.Data()
	rests := int64(0)
	if b.n.core.Rests() {
		rests = 1
	}
	fills, fillsMax := data.FillRate(multiraft.Glance())
	return []redis.InfoSection{
		{Name: "Server", Fields: [][2]string{{"run_id", hex.EncodeToString(b.n.uuid[:])}, {"aegis_node_id", n(int64(b.n.self), 10)}, {"aegis_node_name", b.n.cfg.ID}}},
		b.n.takes().section(b.n.cfg.MaxMemoryBytes, b.n.peak.most.Load()),
		b.n.durable.section(b.n.redis.Loading()),
		{Name: "Stats", Fields: [][2]string{{"keyspace_hits", n(b.n.counts.hits.Load(), 10)}, {"keyspace_misses", n(b.n.counts.misses.Load(), 10)}, {"evicted_keys", n(evicted, 10)}}},
		{Name: "Replication", Fields: [][2]string{{"role", "master"}, {"connected_slaves", n(int64(b.followers()), 10)}, {"master_repl_offset", "0"}, {"aegis_groups_held", n(held, 10)}, {"aegis_catch_up_bytes", n(data.Usage().CatchUpBytes, 10)}, {"aegis_fill_rate", n(fills, 10)}, {"aegis_fill_rate_max", n(fillsMax, 10)}}},
		{Name: "Cluster", Fields: [][2]string{{"cluster_enabled", "1"}, {"aegis_map_epoch", strconv.FormatUint(b.n.routes.Load().Epoch(), 10)}, {"aegis_rebalance_halted", n(rests, 10)}}},
		{Name: "Keyspace", Fields: [][2]string{{"db0", fmt.Sprintf("keys=%d,expires=0,avg_ttl=0", keys)}}},
	}
}

// BackgroundSave implements redis.Backend.
func (b backend) BackgroundSave() error {
	d := b.n.durable
	if d == nil {
		return redis.ReplyError("ERR this node keeps nothing on its disk: it runs with --wal off")
	}
	if b.n.redis.Loading() {
		return redis.ErrLoading
	}
	if !d.checkpoints.save() {
		return redis.ErrSaving
	}
	return nil
}

// LastSave implements redis.Backend.
func (b backend) LastSave() time.Time {
	if d := b.n.durable; d != nil && !b.n.redis.Loading() && d.checkpoints.lastSave.Load() != 0 {
		return time.UnixMilli(d.checkpoints.lastSave.Load())
	}
	return time.Time{}
}

// Admin implements redis.Backend.
func (b backend) Admin(rs *redis.Session, words []string) ([]byte, error) {
	if strings.EqualFold(words[0], "backup") {
		return b.backup(state(rs), words[1:])
	}
	j, err := b.n.operate(words)
	if err != nil {
		return nil, redis.ReplyError("ERR " + err.Error())
	}
	return j, nil
}

package node

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// division says what the memory limit of a node is for, in bytes. The parts add up to
// the limit exactly, and each but the first is counted and bounded where it is used.
type division struct {
	limit     int64
	process   int64 // the program, garbage of its heap, and what the stores' pool keeps ready
	stores    int64 // shard copies: keys and values, index, ghosts, timing wheels
	rings     int64 // records that followers may still need
	buffers   int64 // connections: unfinished commands, unsent replies, tracked keys
	transfers int64 // steps of snapshots, and frames under way to peers
}

// divide shares a limit out. The stores get what is left.
func divide(limit int64) division {
	d := division{limit: limit, process: min(processBytes(limit), max(0, (limit-processFree)/2))}
	rest := limit - d.process
	d.rings = ringBytes(rest)
	reserve := reserveBytes(rest)
	d.buffers = min(max(8<<20, rest/8*3/4), reserve/4*3)
	d.transfers = reserve - d.buffers
	d.stores = rest - d.rings - reserve
	return d
}

// WholeProcess is the least limit that the whole process keeps to, whatever it is asked.
// A smaller one is for what is stored and under way: a node of 64 MiB would have no
// memory left for keys if it had to hold its program too. What lies between gives up
// half of what it has above processFree.
const (
	WholeProcess = 192 << 20
	processFree  = 96 << 20
)

// BesideBytes is what a process may take beside its limit, 0 from WholeProcess on.
func BesideBytes(limit int64) int64 { return processBytes(limit) - divide(limit).process }

// processBytes is what a process takes beside what its parts count, at most: what the
// collector lets pile up, the program, and of the stores' pool what is lent to nobody,
// 8 MiB or a sixty-fourth (lru.Pool), of which the program's part has the first.
func processBytes(limit int64) int64 {
	return GarbageBytes(limit) + programBytes + max(0, limit/64-8<<20)
}

// reserveBytes is kept aside for connections and bulk transfers. A small node keeps
// more: a buffer that grows leaves as much garbage as it held, and the least that
// buffers may hold does not shrink with the limit. With an eighth of 64 MiB, 20
// clients with arguments of 60 MB made a process hold up to 53 MiB more than its limit,
// 24 of them above what it held at rest.
func reserveBytes(limit int64) int64 { return max(limit/8, min(16<<20, limit/4)) }

// ringBytes is the memory of the replication rings: 2 % of the limit, 64 MiB at
// least, but never more than an eighth of a small limit.
func ringBytes(limit int64) int64 { return min(max(limit/50, 64<<20), max(limit/8, 8<<20)) }

// ringBlock is the unit in which ring memory is lent. Every shard copy keeps one
// block whatever happens, so blocks are small where memory is little or shards are
// many: all of them together are half of the rings' memory at most.
func ringBlock(rings int64, shards int) int {
	return int(min(64<<10, max(1<<10, rings/2/int64(shards))))
}

// shardBytes is the budget of a shard copy on a node that has all of them: the least
// there is. Nodes that have fewer give each of them more.
func (d division) shardBytes(shards int) int64 { return d.stores / int64(shards) }

// shardMin is what the index of an empty shard and a few keys need, in bytes.
const shardMin = 16 << 10

// check refuses more shards than the stores can be shared between.
func (d division) check(shards int) error {
	if d.shardBytes(shards) >= shardMin {
		return nil
	}
	return fmt.Errorf("maxMemoryBytes is %s: %s of it are for the stores, which is %s for each of %d shards, and a shard needs %s; give --max-memory-bytes more, or found the cluster with fewer --num-shards",
		formatSize(d.limit), About(d.stores), About(d.shardBytes(shards)), shards, About(shardMin))
}

// lines says how the limit is shared out, for people.
func (d division) lines(shards int) []string {
	most, shard := statemachine.ValueBytesMax(d.shardBytes(shards)), d.shardBytes(shards)
	lines := []string{
		fmt.Sprintf("memory %s: stores %s, rings %s, connections %s, transfers %s%s", About(d.limit), About(d.stores), About(d.rings), About(d.buffers), About(d.transfers), d.itself()),
		fmt.Sprintf("a shard has %s with all %d of them here, the largest value is %s", About(shard), shards, About(most)),
	}
	if most > shard {
		lines = append(lines, fmt.Sprintf("WARNING: a value of more than %s is evicted as soon as it is written: give --max-memory-bytes more, or found the cluster with fewer --num-shards", About(shard)))
	}
	return lines
}

// itself says what the process needs for itself.
func (d division) itself() string {
	inside, beside := "", ""
	if d.process > 0 {
		inside = ", the process " + About(d.process)
	}
	if more := BesideBytes(d.limit); more > 0 {
		beside = fmt.Sprintf("; the process may take up to %s beside it, and none from %s on", About(more), formatSize(WholeProcess))
	}
	return inside + beside
}

// About is a size in the largest unit of which there is one, with one decimal below ten.
func About(n int64) string {
	unit := sizeUnits[len(sizeUnits)-2]
	for i := range 4 {
		if u := sizeUnits[3-i]; n >= u.bytes && (u.suffix != "TiB" || n >= 10*u.bytes) {
			unit = u
			break
		}
	}
	whole := n / unit.bytes
	if tenth := n % unit.bytes * 10 / unit.bytes; whole < 10 && tenth > 0 {
		return fmt.Sprintf("%d.%d %s", whole, tenth, unit.suffix)
	}
	return fmt.Sprintf("%d %s", whole, unit.suffix)
}

// HeapBytes is what the Go heap of a node with this limit may hold: everything but
// the stores, whose memory lies outside it. Their directories are in it, a sixty-fourth
// of what they hold at most, and room for garbage, without which the collector would
// never rest. usable is what the process may use at all, 0 unknown: where a small limit
// leaves little beside it, the garbage gets less.
//
// 1 GiB: 256 MiB. It was the limit and 64 MiB more while values lay in the heap, and
// would let garbage double what a process holds now.
func HeapBytes(limit, usable int64) int64 {
	d := divide(limit)
	held := d.rings + d.buffers + d.transfers + d.stores/64
	room := GarbageBytes(limit)
	if usable > 0 {
		room = max(garbageMin, min(room, usable-d.limit-programBytes+d.process))
	}
	return held + room
}

const (
	garbageMin   = 20 << 20
	garbageMax   = 64 << 20
	programBytes = 28 << 20 // text of the program, stacks, the pool, and what the collector is late by
)

// GarbageBytes is what the collector may let pile up in the Go heap, in bytes. It grows
// with what the collector has to look through. The bound is a soft one: 28 MiB beside 64
// were passed by up to 5 when clients sent much at once.
func GarbageBytes(limit int64) int64 { return min(max(limit/16, garbageMin), garbageMax) }

package node

import (
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// memory is what a node holds at a moment, in bytes: the parts of its division, and
// what the process takes for them.
type memory struct {
	stores    lru.Holdings // of all shard copies
	rings     int64
	buffers   int64
	transfers int64 // frames that wait for a peer, and what walks for backups keep
	lent      int64 // of the pool, to stores
	idle      int64 // of the pool: resident and lent to nobody
	resident  int64 // of the process, 0 where the system does not say
	heap      goHeap
}

// used is what counts against the limit.
func (m memory) used() int64 { return m.stores.Held + m.rings + m.buffers + m.transfers }

// goHeap is the runtime's part: live and dead objects, and all it has from the system.
type goHeap struct{ objects, mapped int64 }

// holds takes the figures of all parts, one shard's mutex after the other.
func (n *Node) holds() (m memory) {
	data := n.core.Data()
	for g := 1; g <= n.routes.Load().Layout().Groups; g++ {
		if r := data.Replica(shardmap.GroupID(g)); r != nil {
			h, _ := r.Holdings()
			m.stores.Add(h)
		}
	}
	m.rings, m.buffers = data.Usage().RingBytes, n.redis.BufferedBytes()
	m.transfers = n.mux.QueuedBytes() + n.backups.keptBytes()
	n.peak.note(m.used())
	return m
}

// takes is what holds says, with what the process takes for it.
func (n *Node) takes() memory {
	m := n.holds()
	m.lent, m.idle, m.resident, m.heap = n.memory.LentBytes(), n.memory.IdleBytes(), resident(), readHeap()
	return m
}

// peak is the most that was used whenever somebody looked: gossip does all the time.
type peak struct{ most atomic.Int64 }

func (p *peak) note(n int64) {
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
}

// resident reads what the process holds of the machine's memory.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(b), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func readHeap() goHeap {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return goHeap{objects: int64(s[0].Value.Uint64()), mapped: int64(s[1].Value.Uint64() - s[2].Value.Uint64())}
}

// section is INFO memory, with the names of Redis where a figure means the same, and
// names of ours for what it has no name for.
func (m memory) section(limit, peak int64) redis.InfoSection {
	var s fields
	used, data := m.used(), m.stores.Live
	s.bytes("used_memory", used)
	s.bytes("used_memory_rss", m.resident)
	s.bytes("used_memory_peak", peak)
	s.add("used_memory_peak_perc", percent(used, peak))
	s.number("used_memory_overhead", used-data)
	s.number("used_memory_startup", 0) // shards come and go: their empty stores are overhead
	s.number("used_memory_dataset", data)
	s.add("used_memory_dataset_perc", percent(data, used))
	// What was asked for, what lies in memory that serves it, and what the system has
	// given, of the stores' pool and of the Go heap together.
	allocated, active, mapped := m.lent+m.heap.objects, m.lent+m.idle+m.heap.objects, m.lent+m.idle+m.heap.mapped
	s.number("allocator_allocated", allocated)
	s.number("allocator_active", active)
	s.number("allocator_resident", mapped)
	s.bytes("maxmemory", limit)
	s.add("maxmemory_policy", "allkeys-lru")
	s.ratio("allocator_frag", active, allocated)
	s.ratio("allocator_rss", mapped, active)
	s.ratio("rss_overhead", m.resident, mapped)
	s.ratio("mem_fragmentation", m.resident, used)
	s.number("mem_not_counted_for_evict", 0)
	s.number("mem_replication_backlog", m.rings)
	s.number("mem_clients_normal", m.buffers)
	s.add("mem_allocator", "aegis-segments")
	d := divide(limit)
	s.number("aegis_stores_limit", d.stores)
	s.number("aegis_stores_budget", m.stores.Budget)
	s.number("aegis_stores_held", m.stores.Held)
	s.number("aegis_stores_live", m.stores.Live)
	s.number("aegis_stores_dead", m.stores.Dead)
	s.number("aegis_stores_idle", m.idle)
	s.number("aegis_rings_limit", d.rings)
	s.number("aegis_connections_limit", d.buffers)
	s.number("aegis_transfers_limit", d.transfers)
	s.number("aegis_transfers", m.transfers)
	s.number("aegis_go_heap", m.heap.mapped)
	return redis.InfoSection{Name: "Memory", Fields: s}
}

// fields are those of a section of INFO.
type fields [][2]string

func (f *fields) add(name, value string) { *f = append(*f, [2]string{name, value}) }

func (f *fields) number(name string, n int64) { f.add(name, strconv.FormatInt(n, 10)) }

// bytes adds a number and, as Redis does, the same for people.
func (f *fields) bytes(name string, n int64) {
	f.number(name, n)
	f.add(name+"_human", human(n))
}

// ratio adds how many times b is in a, and the difference.
func (f *fields) ratio(name string, a, b int64) {
	f.add(name+"_ratio", strconv.FormatFloat(float64(a)/float64(max(b, 1)), 'f', 2, 64))
	f.number(name+"_bytes", a-b)
}

func percent(part, whole int64) string {
	return strconv.FormatFloat(100*float64(part)/float64(max(whole, 1)), 'f', 2, 64) + "%"
}

// human is a size as Redis writes it.
func human(n int64) string {
	for i, unit := range "TGMK" {
		if size := int64(1) << (40 - 10*i); n >= size {
			return strconv.FormatFloat(float64(n)/float64(size), 'f', 2, 64) + string(unit)
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

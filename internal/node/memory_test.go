package node

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// said asks a node once and gives its answer.
func said(t *testing.T, r *raw, words ...string) resp.Reply {
	t.Helper()
	if _, err := r.nc.Write(resp.AppendCommand(nil, words...)); err != nil {
		t.Fatal(err)
	}
	v, err := resp.ReadReply(bufio.NewReader(r.nc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// memoryOf reads INFO memory of a node.
func memoryOf(t *testing.T, r *raw) map[string]int64 {
	t.Helper()
	m := map[string]int64{}
	for _, line := range strings.Split(string(said(t, r, "INFO", "memory").Text), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			m[name] = n
		}
	}
	return m
}

// TestInfoMemoryIsMeasured: the figures add up, those of the data are exact, and every
// part stays within its limit.
func TestInfoMemoryIsMeasured(t *testing.T) {
	const limit, keys, value = 64 << 20, 5000, 1000
	n := startNodes(t, 1, limit)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "v")
	r.until(t, "+OK\r\n")
	said(t, r, "FLUSHALL")
	empty := memoryOf(t, r)
	var b []byte
	data := int64(0)
	for i := range keys {
		key := "key" + strconv.Itoa(i)
		b = resp.AppendCommand(b, "SET", key, strings.Repeat("x", value))
		data += int64(len(key)) + value
	}
	go func() { _, _ = r.nc.Write(b) }()
	if _, err := io.ReadFull(r.nc, make([]byte, keys*len("+OK\r\n"))); err != nil {
		t.Fatal(err)
	}
	m := memoryOf(t, r)
	if m["used_memory_dataset"] != data || empty["used_memory_dataset"] != 0 {
		t.Errorf("%d bytes of keys and values are said to be %d, none to be %d", data, m["used_memory_dataset"], empty["used_memory_dataset"])
	}
	for sum, parts := range map[string][]string{
		"used_memory": {"aegis_stores_held", "mem_replication_backlog", "mem_clients_normal", "aegis_transfers"},
		"maxmemory":   {"aegis_stores_limit", "aegis_rings_limit", "aegis_connections_limit", "aegis_transfers_limit"},
	} {
		total := int64(0)
		for _, p := range parts {
			total += m[p]
		}
		if m[sum] != total || total == 0 {
			t.Errorf("%s is %d, its parts are %d: %v", sum, m[sum], total, m)
		}
	}
	if m["maxmemory"] != limit || m["used_memory_overhead"] != m["used_memory"]-data || m["used_memory_peak"] < m["used_memory"] {
		t.Errorf("%v", m)
	}
	for part, most := range map[string]string{
		"aegis_stores_budget": "aegis_stores_limit", "aegis_stores_held": "aegis_stores_budget", "mem_replication_backlog": "aegis_rings_limit", "mem_clients_normal": "aegis_connections_limit",
		"allocator_allocated": "allocator_active", "allocator_active": "allocator_resident",
	} {
		if none := part == "mem_replication_backlog"; m[part] > m[most] || none != (m[part] == 0) { // the only copy keeps no records
			t.Errorf("%s is %d, %s is %d", part, m[part], most, m[most])
		}
	}
	if m["used_memory_rss"] != 0 && m["used_memory_rss"] < m["aegis_stores_held"] {
		t.Errorf("the process holds %d bytes, its stores %d", m["used_memory_rss"], m["aegis_stores_held"])
	}
	if got := said(t, r, "MEMORY", "USAGE", "key1").Int; got < value+4+12 || got > value+4+64 {
		t.Errorf("a value of %d bytes takes %d", value, got)
	}
	said(t, r, "FLUSHALL")
	if left := memoryOf(t, r); left["aegis_stores_held"] > empty["aegis_stores_held"]+1<<20 || left["aegis_stores_live"] != 0 {
		t.Errorf("after FLUSHALL the stores hold %d bytes, %d before anything was written", left["aegis_stores_held"], empty["aegis_stores_held"])
	}
}

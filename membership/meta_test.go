package membership

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func fullMeta() Meta {
	return Meta{
		Cluster: [16]byte{1, 2, 3}, Node: 7, Incarnation: 9, Version: "0.1.0", Draining: true, Leases: 22, MemoryUsed: 5 << 30, MemoryMax: 6 << 30,
		ClientAddr: "[fd00::1]:7000", ClusterAddr: "node7.cache.example:7001", GossipAddr: "10.0.0.7:7002",
	}
}

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []Meta{{}, fullMeta()} {
		got, err := DecodeMeta(AppendMeta(nil, m))
		if err != nil || got != m {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
}

func TestMetaLeavesOutWhatDoesNotFit(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	m := fullMeta()
	m.ClusterAddr, m.GossipAddr, m.ClientAddr = long(255), long(200), long(256)
	b := AppendMeta([]byte("prefix"), m)
	if len(b)-len("prefix") > metaMax {
		t.Fatalf("%d bytes", len(b))
	}
	got, err := DecodeMeta(b[len("prefix"):])
	want := m
	want.ClientAddr = ""
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	m.GossipAddr, m.ClientAddr = long(206), "a:1"
	want = m
	want.GossipAddr = "" // one byte too long; what follows still fits
	if got, err := DecodeMeta(AppendMeta(nil, m)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMetaOfLaterVersions(t *testing.T) {
	b := AppendMeta(nil, fullMeta())
	b[1] |= 0xf0
	if got, err := DecodeMeta(append(b, "what a later version appends"...)); err != nil || got != fullMeta() {
		t.Errorf("unknown flags and fields: %+v, %v", got, err)
	}
	b[0] = metaFormat + 1
	if _, err := DecodeMeta(b); !errors.Is(err, ErrMeta) {
		t.Errorf("another format: %v", err)
	}
}

func TestWorthTelling(t *testing.T) {
	said := Meta{MemoryUsed: 1000, MemoryMax: 1600}
	for name, c := range map[string]struct {
		change func(*Meta)
		want   bool
	}{
		"nothing":         {func(*Meta) {}, false},
		"a little memory": {func(m *Meta) { m.MemoryUsed += 99 }, false},
		"much memory":     {func(m *Meta) { m.MemoryUsed += 100 }, true},
		"memory given up": {func(m *Meta) { m.MemoryUsed -= 100 }, true},
		"a lease":         {func(m *Meta) { m.Leases++ }, true},
		"a drain":         {func(m *Meta) { m.Draining = true }, true},
		"an address":      {func(m *Meta) { m.GossipAddr = "b:1" }, true},
	} {
		now := said
		c.change(&now)
		if got := worthTelling(said, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(AppendMeta(nil, fullMeta()))
	f.Add(AppendMeta(nil, Meta{}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{metaFormat}, metaMax))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMeta(b)
		if err != nil {
			if m != (Meta{}) {
				t.Fatalf("an error and %+v", m)
			}
			return
		}
		again := AppendMeta(nil, m)
		if len(again) > metaMax || len(again) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(again))
		}
		if got, err := DecodeMeta(again); err != nil || got != m {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
	})
}

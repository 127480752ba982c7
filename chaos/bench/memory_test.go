package bench

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestAFootprintIsWhatEntriesAdd(t *testing.T) {
	f := footprintOf(10<<20, 10<<20+1000*150, 1000)
	if f.PerEntry != 150 || f.Overhead != 34 {
		t.Errorf("%+v", f)
	}
}

// TestMemoryIsMeasured fills a real node and, where there is one, a redis-server.
func TestMemoryIsMeasured(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // Memory says why not
	}
	o := DefaultMemoryOptions()
	o.Entries, o.Aegis = 50_000, filepath.Join(t.TempDir(), "aegis")
	build := exec.Command("go", "build", "-o", o.Aegis, "../../cmd/aegis")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := Memory(o)
	if err != nil {
		t.Fatal(err)
	}
	var text, js bytes.Buffer
	if r.Text(&text) != nil || r.JSON(&js) != nil || !strings.Contains(text.String(), "50000 entries, keys of 16 B") {
		t.Errorf("%s", text.String())
	}
	var back MemoryReport
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Rows) != 2 || back.Rows[0].TTL || !back.Rows[1].TTL {
		t.Fatalf("%v: %s", err, js.String())
	}
	for _, row := range back.Rows {
		for _, f := range []*Footprint{&row.Aegis, row.Redis} {
			if f != nil && (f.Empty < 1<<20 || f.PerEntry < memoryKey+memoryValue) {
				t.Errorf("%+v", *f)
			}
		}
		if own := row.Aegis.Own; own < 20 || own > 120 {
			t.Errorf("a node says that an entry costs it %.1f B", own)
		}
	}
}

package sim

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestARunWithoutFaultsServesEverything(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Faults, cfg.Nodes, cfg.Duration = false, 3, 10*time.Second
	r := Run(cfg, 1)
	for _, b := range r.Broken {
		t.Error(b)
	}
	if r.Ops < 500 {
		t.Errorf("%d operations in ten seconds", r.Ops)
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Duration = 10 * time.Second
	a, b := Run(cfg, 7), Run(cfg, 7)
	if a.Hash != b.Hash || a.Events != b.Events {
		t.Fatalf("hash %x after %d events, then %x after %d", a.Hash, a.Events, b.Hash, b.Events)
	}
	if c := Run(cfg, 8); c.Hash == a.Hash {
		t.Fatal("another seed gave the same run")
	}
}

func TestSeeds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Duration = 20 * time.Second
	for seed := range uint64(6) {
		r := Run(cfg, seed)
		if len(r.Broken) > 0 {
			for _, l := range r.Log {
				t.Log(l)
			}
			t.Fatalf("seed %d: %v", seed, r.Broken)
		}
	}
}

// untilActed runs seeds until all of these have acted. Which seed visits what changes with
// every rule that takes or gives back a turn, so that a list of seeds would show little.
func untilActed(t *testing.T, cfg Config, most uint64, names ...string) {
	t.Helper()
	acted := map[string]int{}
	lacking := func(name string) bool { return acted[name] == 0 }
	for seed := range most {
		r := Run(cfg, seed)
		if len(r.Broken) > 0 {
			for _, l := range r.Log {
				t.Log(l)
			}
			t.Fatalf("seed %d: %v", seed, r.Broken)
		}
		for name, n := range r.Acted {
			acted[name] += n
		}
		if !slices.ContainsFunc(names, lacking) {
			return
		}
	}
	t.Errorf("of %v not all have acted in %d seeds: %v", names, most, acted)
}

// TestLogs is TestSeeds for clusters with logs, which come back from crashes and power cuts.
func TestLogs(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Duration = 20 * time.Second
	untilActed(t, cfg, 100, "log came back", "power cut")
}

// TestOperators is TestSeeds for clusters with operators, whose dead are replaced.
func TestOperators(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Duration = 60 * time.Second
	untilActed(t, cfg, 100, "left", "exiled", "order leaving", "order draining", "failover by hand, done")
}

// TestSecondOpinion lets porcupine judge what clients of short runs were told.
func TestSecondOpinion(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Duration, cfg.Second, cfg.OpsPerS = 20*time.Second, true, 400
	for seed := range uint64(4) {
		r := Run(cfg, 100+seed)
		if len(r.Broken) > 0 || r.Acted["second opinion"] != sampledKeys {
			t.Errorf("seed %d: %v; %d keys are linearizable", 100+seed, r.Broken, r.Acted["second opinion"])
		}
	}
}

// TestPastFailures runs the seeds that once failed: seed, duration, nodes (0: by the
// seed), kinds of faults (all or plain).
func TestPastFailures(t *testing.T) {
	b, err := os.ReadFile("testdata/seeds/past")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if raceBuild {
		lines = lines[len(lines)-2:]
	}
	for _, line := range lines {
		var seed uint64
		var duration, kinds string
		cfg := DefaultConfig()
		if _, err := fmt.Sscan(line, &seed, &duration, &cfg.Nodes, &kinds); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		cfg.Plain = kinds == "plain"
		if cfg.Duration, err = time.ParseDuration(duration); err != nil {
			t.Fatal(err)
		}
		if r := Run(cfg, seed); len(r.Broken) > 0 {
			t.Errorf("%s: %v", line, r.Broken)
		}
	}
}

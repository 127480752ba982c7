package clients

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// spinnerMain burns one core until its parent is gone.
func spinnerMain() {
	runtime.GOMAXPROCS(1)
	for os.Getppid() != 1 {
		for range 1 << 24 {
		}
	}
}

// TestABusyMachine spins on every core beside a cluster under load. With the noisy
// lease profile no lease may change; with the default one the changes are counted.
// Majority writes survive in both. AEGIS_TEST_BUSY says for how long each; the
// bar's own time is two minutes.
func TestABusyMachine(t *testing.T) {
	for _, profile := range []string{"noisy", "default"} {
		t.Run(profile, func(t *testing.T) {
			opened := busy(t, profile, duration(t, "AEGIS_TEST_BUSY", 4*time.Second))
			if profile == "noisy" && opened > 0 {
				t.Errorf("%d leases changed", opened)
			}
		})
	}
}

// busy runs a cluster beside spinners and counts the leases that were opened.
func busy(t *testing.T, profile string, d time.Duration) (opened uint64) {
	t.Helper()
	r := newRig(t, rigMemory, " --lease-profile "+profile)
	r.ready(t, r.addrs[0])
	before := statusOf(r.addrs[0]).opens()
	spun := spin(t, runtime.NumCPU(), d)
	var gaps []time.Duration
	failed := int64(0)
	for _, p := range r.probes {
		gaps = append(gaps, time.Duration(p.gap.Load()))
		failed += p.errs.Load()
	}
	opened = statusOf(r.addrs[0]).opens() - before
	t.Logf("%v beside %d spinners, which used %v of CPU, profile %s: %d leases changed; longest gap of a group p50 %v p99 %v max %v, %d probes failed",
		d, runtime.NumCPU(), spun.Round(time.Second), profile, opened, quantile(gaps, .5), quantile(gaps, .99), quantile(gaps, 1), failed)
	if spun < d*time.Duration(runtime.NumCPU())/4 {
		t.Error("that is no busy machine")
	}
	r.stop()
	until(t, time.Minute, "three copies of everything", func() bool { return statusOf(r.addrs[0]).lacking() == "" })
	r.majority.verify(t, r.client, 100)
	return opened
}

// spin burns cores for a time, and gives the CPU time that it took from the others.
func spin(t *testing.T, cores int, d time.Duration) (used time.Duration) {
	t.Helper()
	var spinners []*exec.Cmd
	for range cores {
		spinners = append(spinners, startRole(t, "spinner", nil))
	}
	<-time.After(d)
	for _, s := range spinners {
		_ = s.Process.Kill()
		_ = s.Wait()
		used += s.ProcessState.UserTime()
	}
	return used
}

// duration reads how long a test takes from a variable: CI takes less than the bar's own time.
func duration(t *testing.T, variable string, otherwise time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%s is not a duration", variable, v)
	}
	return d
}

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asChaos makes the test binary behave as aegis-chaos.
const asChaos = "RUN_THE_TEST_BINARY_AS_AEGIS_CHAOS"

func TestMain(m *testing.M) {
	if os.Getenv(asChaos) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestWrongUsageIsOneSentenceAndExits64(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"nosuch", "nosuch"},
		{"sim --nosuch", "--nosuch"},
		{"sim more", "more"},
		{"sim --duration -5s", "--duration -5s"},
		{"sim --duration 0s", "--duration 0s"},
		{"sim --seeds 5-1", `--seeds "5-1"`},
		{"sim --seeds x", `--seeds "x"`},
		{"sim -j 0", "-j 0"},
		{"sim --nodes -1", "--nodes -1"},
		{"sim --twice -1", "--twice -1"},
		{"script nosuch", `"nosuch"`},
		{"bench -o yaml", "text or json"},
		{"compare a", "arg"},
		{"export --format csv a", `"csv"`},
		{"blackbox", "--target"},
		{"blackbox --start-peer memcached", `"memcached"`},
		{"blackbox --start-peer redis --fault fire", `"fire"`},
		{"compare -o yaml a b", "text, json or html"},
		{"compare --names a,b,c a b", "2 reports"},
		{"run --scenario kil-leaseholder", `"kil-leaseholder": "kill-leaseholder" is near`},
		{"run --duration -1s", "--duration -1s"},
		{"run --aegis /nosuch --scenario kill-all", "make build"},
		{"run --mutant M99 --aegis " + os.Args[0], `"M99"`},
		{"run --mutant M01 --scenario kill-all --aegis " + os.Args[0], "-tags mutants"},
	} {
		cmd := exec.Command(os.Args[0], strings.Fields(c.args)...)
		cmd.Env = append(os.Environ(), asChaos+"=1", "GORACE=atexit_sleep_ms=0") // the detector waits a second at each exit
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(out), c.says) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("aegis-chaos %s: exit code %d, want %d and one sentence with %q: %s", c.args, code, exitUsage, c.says, out)
		}
	}
}

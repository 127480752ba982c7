package clients

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// promised are the commands of this version, as INFO commandstats names them.
const promised = "hello auth ping echo quit reset select client|id client|setname client|getname client|setinfo client|info " +
	"readonly readwrite asking cluster|slots cluster|shards cluster|nodes cluster|info cluster|myid cluster|keyslot " +
	"command command|count command|info info config|get dbsize time role wait " +
	"get set getdel getex mget mset del unlink exists strlen incr incrby decr decrby append " +
	"expire pexpire expireat pexpireat ttl pttl persist flushall aegis.durability aegis.token aegis.check"

// called counts the calls of each command that nodes have run, by their own counters.
func called(t *testing.T, nodes []string) map[string]int {
	t.Helper()
	calls := map[string]int{}
	for _, addr := range nodes {
		for _, line := range strings.Fields(ask(addr, "info", "commandstats")) {
			var n int
			name, counts, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			if _, err := fmt.Sscanf(counts, "calls=%d,", &n); ok && err == nil {
				calls[name] += n
			}
		}
	}
	return calls
}

// everyPromised runs a client and wants each promised command to have been called by it.
func everyPromised(t *testing.T, nodes []string, client func()) {
	t.Helper()
	before := called(t, nodes)
	client()
	after := called(t, nodes)
	for _, name := range strings.Fields(promised) {
		if after[name] == before[name] {
			t.Errorf("%s was not called once", name)
		}
	}
}

const stepMark = "the end of step"

// cliSession feeds steps to one redis-cli and gives the output of each.
func cliSession(t *testing.T, addr string, steps []step, judged bool) []string {
	t.Helper()
	var in strings.Builder
	for _, s := range steps {
		words := s.args
		if judged {
			words = s.judged()
		}
		for _, w := range words {
			fmt.Fprintf(&in, "%q ", w)
		}
		fmt.Fprintf(&in, "\nECHO %q\n", stepMark)
	}
	in.WriteString("QUIT\n")
	cmd := exec.Command("redis-cli", "-u", "redis://"+addr)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	outs := strings.Split(strings.ReplaceAll(string(out), `"`+stepMark+`"`, stepMark), stepMark+"\n")
	if len(outs) != len(steps)+1 {
		t.Fatalf("%d steps gave %d outputs:\n%s", len(steps), len(outs)-1, out)
	}
	return outs[:len(steps)]
}

// compareSessions runs the steps that concern a connection through redis-cli.
func compareSessions(t *testing.T, addr, judge string) {
	t.Helper()
	got, want := cliSession(t, addr, serverSteps, false), cliSession(t, judge, serverSteps, true)
	for i, s := range serverSteps {
		failed := strings.HasPrefix(got[i], "ERR ") || strings.HasPrefix(got[i], "(error)")
		switch {
		case s.mode == exact && got[i] != want[i]:
			t.Errorf("%q answers %q, redis %q", s.args, got[i], want[i])
		case s.mode == ours && (failed || !strings.Contains(got[i], s.want)), s.mode == shape && failed:
			t.Errorf("%q answers %q", s.args, got[i])
		case s.mode == alone && !strings.Contains(got[i], s.want):
			t.Errorf("%q answers %q, want an error %s", s.args, got[i], s.want)
		}
	}
}

package clients

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// conversation is a client under test: words go to it, each is answered by a line. The
// words are commands, routing, load, mark and stop; foreign/phases.mjs says what they mean.
type conversation interface {
	version() string
	say(word string) string
	close()
}

// answerMax is how long a client may take to answer a word.
const answerMax = 30 * time.Second

// passed is what the table says of a phase without a failure.
const passed = "ok"

// movedSoFar is how many MOVED all nodes gave since they started.
func movedSoFar(addrs []string) (n int) {
	for _, a := range addrs {
		if m := movedCount.FindStringSubmatch(ask(a, "info", "errorstats")); m != nil {
			one, _ := strconv.Atoi(m[1])
			n += one
		}
	}
	return n
}

var movedCount = regexp.MustCompile(`errorstat_MOVED:count=(\d+)`)

// routing wants no MOVED once the client has seen the map: leases lie in as many ranges as
// there are groups.
func routing(c conversation, addrs []string) string {
	if a := c.say("routing"); a != passed {
		return a
	}
	before := movedSoFar(addrs)
	if a := c.say("routing"); a != passed {
		return a
	}
	if n := movedSoFar(addrs) - before; n > 0 {
		return fmt.Sprintf("%d MOVED for 1024 commands", n)
	}
	return passed
}

// underLoad runs the client's load while something happens. The errors until it is over
// are counted; afterwards there must be none.
func underLoad(c conversation, happens func()) string {
	if a := c.say("load"); a != passed {
		return a
	}
	time.Sleep(300 * time.Millisecond) // of load before it happens; nothing depends on its length
	happens()
	during := c.say("mark")
	time.Sleep(time.Second) // of load afterwards
	a := c.say("stop")
	var ops, failed int
	if _, err := fmt.Sscanf(a, "load %d %d", &ops, &failed); err != nil || during != passed {
		return during + " " + a
	}
	switch {
	case ops < 100:
		return fmt.Sprintf("only %d operations in a second afterwards: %s", ops, a)
	case failed > 0:
		return fmt.Sprintf("%d errors afterwards: %s", failed, a)
	}
	return passed
}

// inEveryPhase takes one client through all phases and gives what the table says of each.
func inEveryPhase(t *testing.T, nodes []*restartable, c conversation) map[string]string {
	t.Helper()
	addrs := addresses(nodes)
	victim := nodes[2]
	served := func() {
		until(t, 30*time.Second, "three healthy nodes", func() bool { return healthy(addrs[0]) })
		awaitMap(t, addrs)
	}
	found := map[string]string{"commands": c.say("commands")}
	found["routing"] = routing(c, addrs)
	found["move"] = underLoad(c, func() { // a third of the leases leaves, and comes back
		victim.signal(syscall.SIGTERM)
		_ = victim.cmd.Wait()
		victim.start(t)
		served()
	})
	found["kill"] = underLoad(c, func() {
		victim.kill()
		victim.start(t)
		served()
	})
	return found
}

// clientResult is one row of docs/redis-clients.json.
type clientResult struct {
	Client  string            `json:"client"`
	Version string            `json:"version"`
	Date    string            `json:"date"`
	Phases  map[string]string `json:"phases"`
}

// record puts a row into docs/redis-clients.json when `make clients` asks for it.
func record(t *testing.T, name string, c conversation, found map[string]string) {
	t.Helper()
	for phase, said := range found {
		if said != passed {
			t.Errorf("%s, %s: %s", name, phase, said)
		}
	}
	t.Logf("%-14s %-10s commands %s, routing %s, move %s, kill %s", name, c.version(), found["commands"], found["routing"], found["move"], found["kill"])
	if os.Getenv("AEGIS_TEST_RECORD") == "" {
		return
	}
	file := filepath.Join(repository(t), "docs", "redis-clients.json")
	var rows []clientResult
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	rows = slices.DeleteFunc(rows, func(r clientResult) bool { return r.Client == name })
	rows = append(rows, clientResult{name, c.version(), time.Now().UTC().Format(time.DateOnly), found})
	slices.SortFunc(rows, func(a, b clientResult) int { return cmp.Compare(a.Client, b.Client) })
	if b, err = json.MarshalIndent(rows, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

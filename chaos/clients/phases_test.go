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
// words are commands, routing, load, more, mark and stop; foreign/phases.mjs says what they mean.
type conversation interface {
	version() string
	say(word string) string
	close()
}

// answerMax is how long a client may take to answer a word.
const answerMax = 30 * time.Second

const (
	// passed is what the table says of a phase without a failure.
	passed = "ok"
	// noMap is what it says of the routing of a client that asks anew where each command
	// goes: it is told MOVED as often as it guesses wrong.
	noMap = "no map"
)

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

// afterwards is how many operations the load of each client goes on for once all is well.
const afterwards = 200

// underLoad runs the load of all clients while something happens. The errors until it is
// over are counted apart; in as many operations as count afterwards there must be none.
func underLoad(t *testing.T, clients map[string]conversation, happens func()) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, c := range clients {
		found[name] = c.say("load")
	}
	each(clients, found, func(c conversation) string { return c.say("more") }) // it runs when it happens
	happens()
	for range 2 { // what was under way when it ended may still fail, and ends in the first
		each(clients, found, func(c conversation) string { return c.say("mark") })
		each(clients, found, func(c conversation) string { return c.say("more") })
	}
	each(clients, found, func(c conversation) string {
		a := c.say("stop")
		var ops, failed int
		if _, err := fmt.Sscanf(a, "load %d %d", &ops, &failed); err != nil {
			return a
		}
		switch {
		case failed > 0:
			return fmt.Sprintf("%d errors afterwards: %s", failed, a)
		case ops < afterwards:
			return fmt.Sprintf("only %d operations afterwards: %s", ops, a)
		}
		return passed
	})
	return found
}

// each says something to all clients that have not failed yet, one after the other.
func each(clients map[string]conversation, found map[string]string, say func(c conversation) string) {
	for name, c := range clients {
		if found[name] == passed {
			found[name] = say(c)
		}
	}
}

// inEveryPhase takes clients through all phases and gives what the table says of each.
// They go through the failures together: a cluster gives leases back to a node that was
// away only after half a minute of calm, and so that no test waits for that, each
// failure meets the node that leads most.
func inEveryPhase(t *testing.T, nodes []*restartable, clients map[string]conversation) map[string]map[string]string {
	t.Helper()
	addrs := addresses(nodes)
	found := map[string]map[string]string{"commands": {}, "routing": {}, "moved": {}}
	for name, c := range clients {
		for _, addr := range addrs {
			if got := ask(addr, "flushall"); got != "OK" {
				t.Fatal(got)
			}
		}
		found["commands"][name] = c.say("commands")
		found["routing"][name] = routing(c, addrs)
	}
	back := func(victim *restartable) {
		victim.start(t)
		until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	}
	moved, told := 0, movedByClient(clients)
	found["move"] = underLoad(t, clients, func() {
		for range 2 {
			victim, leads := busiest(nodes)
			victim.signal(syscall.SIGTERM)
			_ = victim.cmd.Wait()
			moved += leads
			back(victim)
		}
	})
	for name, n := range movedByClient(clients) {
		found["moved"][name] = fmt.Sprintf("%d for %d leases", n-told[name], moved)
	}
	if moved < phaseGroups/2 {
		t.Errorf("only %d of %d leases were moved", moved, phaseGroups)
	}
	found["kill"] = underLoad(t, clients, func() {
		victim, leads := busiest(nodes)
		if leads == 0 {
			t.Error("the node that is killed leads nothing")
		}
		victim.kill()
		back(victim)
	})
	return found
}

// movedByClient is how many MOVED the clients that count them were told so far.
func movedByClient(clients map[string]conversation) map[string]int64 {
	told := map[string]int64{}
	for name, c := range clients {
		if g, ok := c.(*goClient); ok && g.moves != nil {
			told[name] = g.moves.Load()
		}
	}
	return told
}

// phaseGroups makes the leases lie in as many ranges as there are shards.
const phaseGroups = 256

// phaseCluster is what clients go through the phases against. Its lease outlives what a
// machine at work does to a node: nobody measures here how long a failover takes.
func phaseCluster(t *testing.T) []*restartable {
	t.Helper()
	return launch(t, 3, fmt.Sprint("256MiB --lease-profile noisy --num-groups ", phaseGroups))
}

// busiest is the node that leads most groups, and how many these are.
func busiest(nodes []*restartable) (victim *restartable, leads int) {
	var by map[string][]int
	for _, n := range nodes {
		if by = holders(n.addr); len(by) > 0 {
			break
		}
	}
	for _, n := range nodes {
		if victim == nil || len(by[n.name]) > leads {
			victim, leads = n, len(by[n.name])
		}
	}
	return victim, leads
}

// soleHolder is the node that serves all slots, else any.
func soleHolder(addrs []string) string {
	for _, addr := range addrs {
		if ask(addr, "set", "any", "v") == "OK" {
			return addr
		}
	}
	return addrs[0]
}

// clientResult is one row of docs/redis-clients.json.
type clientResult struct {
	Client  string            `json:"client"`
	Version string            `json:"version"`
	Date    string            `json:"date"`
	Phases  map[string]string `json:"phases"`
	// Moved is what the client was told of moved slots while half of the leases moved.
	Moved string `json:"moved,omitempty"`
}

// record puts a row into docs/redis-clients.json when `make clients` asks for it.
func record(t *testing.T, name string, c conversation, phases map[string]map[string]string) {
	t.Helper()
	found := map[string]string{}
	for phase, said := range phases {
		if phase != "moved" {
			found[phase] = said[name]
		}
	}
	for phase, said := range found {
		if said != passed && (said != noMap || phase != "routing") {
			t.Errorf("%s, %s: %s", name, phase, said)
		}
	}
	moved := phases["moved"][name]
	t.Logf("%-14s %-10s commands %s, routing %s, move %s (MOVED: %s), kill %s", name, c.version(), found["commands"], found["routing"], found["move"], cmp.Or(moved, "not told"), found["kill"])
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
	rows = append(rows, clientResult{name, c.version(), time.Now().UTC().Format(time.DateOnly), found, moved})
	slices.SortFunc(rows, func(a, b clientResult) int { return cmp.Compare(a.Client, b.Client) })
	if b, err = json.MarshalIndent(rows, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

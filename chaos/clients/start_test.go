package clients

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startLimit is how long after its last start a cluster may take until it holds
// three whole copies of everything.
const startLimit = 5 * time.Second

func TestReadmeNamesTheContract(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append([]string{oneNode}, contract...) {
		if !strings.Contains(string(readme), "\n"+line+"\n") {
			t.Errorf("README.md does not say: %s", line)
		}
	}
}

// contractLines are the published commands, literally where their ports are free.
func contractLines(t *testing.T) []string {
	t.Helper()
	if blockIsFree(contractPort, portsEach*len(contract)) {
		return contract
	}
	base := freeBlock(t, portsEach*len(contract))
	t.Logf("ports from %d on are taken, so those from %d on are used", contractPort, base)
	return movedTo(base)
}

func movedTo(base int) (lines []string) {
	for _, line := range contract {
		lines = append(lines, onPorts(line, base))
	}
	return lines
}

// throughIPv6 makes the published commands listen on [::1], and seeds be there.
func throughIPv6(lines []string) (six []string) {
	for _, line := range lines {
		line = strings.ReplaceAll(line, "-addr :", "-addr [::1]:")
		six = append(six, strings.ReplaceAll(line, "localhost:", "[::1]:"))
	}
	return six
}

// TestTheCommandsOfTheContract runs the published commands from one directory, in
// order and all at once, kills all nodes, and runs the same commands again: three
// copies of everything within the limit each time, and the same identities.
func TestTheCommandsOfTheContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		lines   func(t *testing.T) []string
		inOrder bool
	}{
		{"as written, in order", contractLines, true},
		{"as written, all at once", contractLines, false},
		{"on IPv6", func(t *testing.T) []string { return throughIPv6(movedTo(freeBlock(t, portsEach*3))) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := prepare(t, c.lines(t)...)
			startAll(t, nodes, c.inOrder)
			before, written := identities(t, nodes), usedByClients(t, nodes)
			for _, n := range nodes {
				n.kill()
			}
			startAll(t, nodes, c.inOrder)
			if after := identities(t, nodes); after != before {
				t.Errorf("identities after a restart:\n%s\nbefore:\n%s", after, before)
			}
			judged, lost := written.judge(t, newClient(t, addresses(nodes)))
			if judged == 0 || lost != judged {
				t.Errorf("of %d writes %d are lost: memory does not survive the death of all nodes", judged, lost)
			}
			usedByClients(t, nodes)
		})
	}
}

// usedByClients writes through every node with a client that follows redirects of
// its own accord, and with ours; it gives what to judge later.
func usedByClients(t *testing.T, nodes []*restartable) *asyncWrites {
	t.Helper()
	c := newClient(t, addresses(nodes))
	a, l := &asyncWrites{addrs: addresses(nodes)}, lines{}
	defer l.close()
	hasCLI := needs(t, "redis-cli", "redis-tools")
	for i := range 20 {
		key := fmt.Sprint("written:", i)
		addr := nodes[i%len(nodes)].addr
		if hasCLI {
			if got := cli(addr, "-c", "set", key, "v"); got != "OK" {
				t.Errorf("redis-cli: SET %s at %s: %s", key, addr, got)
			}
		}
		if err := c.Set(t.Context(), key, []byte("v")); err != nil {
			t.Errorf("client: SET %s: %v", key, err)
		}
		for range nodes {
			if addr = a.write(l, addr, "judged:"+key, "v"); addr == "" {
				break
			}
		}
	}
	return a
}

// startAll starts the nodes and waits for three copies of everything. In order
// means that each one answers before the next command is given.
func startAll(t *testing.T, nodes []*restartable, inOrder bool) {
	t.Helper()
	for i, n := range nodes {
		if i > 0 && inOrder {
			nodes[i-1].answers(t)
		}
		n.start(t)
	}
	last := time.Now()
	lack := ""
	for lack = statusOf(nodes[0].addr).lacking(); lack != ""; lack = statusOf(nodes[0].addr).lacking() {
		if time.Since(last) > 4*startLimit {
			t.Fatalf("%v after the last start: %s", 4*startLimit, lack)
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(last)
	t.Logf("three whole copies of %d groups %v after the last start", groups, took.Round(time.Millisecond))
	if took > startLimit {
		t.Errorf("that took longer than %v", startLimit)
	}
}

// identities are the lasting names of a cluster and its nodes, a line each.
func identities(t *testing.T, nodes []*restartable) string {
	t.Helper()
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintln(&b, statusOf(n.addr).Cluster, ask(n.addr, "cluster", "myid"))
		for _, field := range strings.Fields(ask(n.addr, "info", "server")) {
			if strings.HasPrefix(field, "run_id:") || strings.HasPrefix(field, "aegis_node_") {
				fmt.Fprintln(&b, field)
			}
		}
	}
	if got := len(strings.Fields(b.String())); got != 5*len(nodes) {
		t.Fatalf("%d words of identity:\n%s", got, b.String())
	}
	return b.String()
}

// TestOneNodeAsWritten starts a node without a name: the same command finds the
// same node again.
func TestOneNodeAsWritten(t *testing.T) {
	line := oneNode
	if !blockIsFree(contractPort, portsEach) {
		line = onPorts(oneNode, freeBlock(t, portsEach))
	}
	nodes := prepare(t, line)
	nodes[0].start(t)
	nodes[0].answers(t)
	until(t, startLimit, "the node serves", func() bool { return ask(nodes[0].addr, "set", "k", "v") == "OK" })
	before := identities(t, nodes)
	if got := statusOf(nodes[0].addr); got.Served != groups || got.Verdict != "no failover yet: 1 of 3 nodes" {
		t.Errorf("status: %d groups are served, %q", got.Served, got.Verdict)
	}
	nodes[0].kill()
	nodes[0].start(t)
	nodes[0].answers(t)
	until(t, startLimit, "the node serves again", func() bool { return ask(nodes[0].addr, "set", "k", "v") == "OK" })
	if after := identities(t, nodes); after != before {
		t.Errorf("identity after a restart:\n%s\nbefore:\n%s", after, before)
	}
	_, port, _ := net.SplitHostPort(nodes[0].addr)
	n, _ := strconv.Atoi(port)
	if _, err := os.Stat(filepath.Join(nodes[0].dir, "data", fmt.Sprint("port-", n))); err != nil {
		t.Errorf("the nameless node's directory: %v", err)
	}
}

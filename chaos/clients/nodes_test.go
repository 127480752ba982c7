package clients

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contract are the commands that start three nodes on one machine, from one
// directory, as they are published.
var contract = []string{
	"./bin/aegis --id node1 --client-addr :7000 --gossip-addr :7002",
	"./bin/aegis --id node2 --client-addr :7010 --gossip-addr :7012 --seeds localhost:7002",
	"./bin/aegis --id node3 --client-addr :7020 --gossip-addr :7022 --seeds localhost:7002",
}

// oneNode is the command that starts one node.
const oneNode = "./bin/aegis --client-addr :7000 --gossip-addr :7002"

// contractPort is the first port of these commands, and portsEach how many lie
// between two nodes.
const (
	contractPort = 7000
	portsEach    = 10
)

var publishedPort = regexp.MustCompile(`:70(\d\d)\b`)

// onPorts gives a command other ports: those from base on.
func onPorts(line string, base int) string {
	return publishedPort.ReplaceAllStringFunc(line, func(port string) string {
		n, _ := strconv.Atoi(port[1:])
		return fmt.Sprint(":", base+n-contractPort)
	})
}

// restartable is one aegis process that can be killed and started again with the
// same command line.
type restartable struct {
	dir, line string // where, and what a shell is told
	name      string // of its log
	parent    bool   // it runs as users run it, as the parent of a worker; otherwise kill -9 is for all there is
	addr      string // of its client port
	cmd       *exec.Cmd
}

// prepare makes nodes of command lines, in a directory of their own that has
// ./bin/aegis; nothing is started yet. They are killed when the test ends.
func prepare(t *testing.T, lines ...string) []*restartable {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(buildAegis(t), filepath.Join(dir, "bin", "aegis")); err != nil {
		t.Fatal(err)
	}
	var nodes []*restartable
	for i, line := range lines {
		host, port, err := net.SplitHostPort(flagOf(line, "client-addr"))
		if err != nil {
			t.Fatal(err)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		nodes = append(nodes, &restartable{dir: dir, line: line, name: fmt.Sprint("node", i+1), addr: net.JoinHostPort(host, port)})
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.kill()
			if t.Failed() {
				t.Logf("the end of %s's log:\n%s", n.name, n.logTail())
			}
		}
	})
	return nodes
}

// flagOf is the value of a flag in a command line.
func flagOf(line, name string) string {
	_, after, _ := strings.Cut(line, "--"+name+" ")
	value, _, _ := strings.Cut(after, " ")
	return value
}

func (n *restartable) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.Command("sh", "-c", "exec "+n.line)
	n.cmd.Dir, n.cmd.Stderr = n.dir, log
	if !n.parent {
		n.cmd.Env = append(os.Environ(), "AEGIS_NO_SUPERVISE=on")
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (n *restartable) logPath() string { return filepath.Join(n.dir, n.name+".log") }

// logTail is the end of what the node has logged.
func (n *restartable) logTail() []byte {
	log, _ := os.ReadFile(n.logPath())
	return log[max(0, len(log)-2<<10):]
}

func (n *restartable) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) }

// leaves waits until the process has ended, which must be with 0.
func (n *restartable) leaves(t *testing.T, limit time.Duration) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- n.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%s left with %v", n.name, err)
		}
	case <-time.After(limit):
		t.Fatalf("%s has not left: its own word is %q", n.name, statusOf(n.addr).Verdict)
	}
}

// stopped says whether every thread stands still: until one of them has taken
// SIGSTOP the others go on.
func (n *restartable) stopped() bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.cmd.Process.Pid))
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(tasks) > 0
}

// kill ends the node with -9, a parent's worker first of all, of which the parent, that
// stands still, says nothing.
func (n *restartable) kill() {
	if n.cmd == nil {
		return
	}
	if n.parent {
		n.signal(syscall.SIGSTOP)
		n.killWorker()
	}
	n.signal(syscall.SIGKILL)
	_ = n.cmd.Wait()
}

// worker is the process that a parent runs the node in, 0 while there is none.
func (n *restartable) worker() int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		b, _ := os.ReadFile(stat)
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(n.cmd.Process.Pid) && f[0] != "Z" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			return pid
		}
	}
	return 0
}

// killWorker kills the worker with -9 and says which one it was.
func (n *restartable) killWorker() (pid int) {
	if pid = n.worker(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return pid
}

// answers waits until the node serves its client port.
func (n *restartable) answers(t *testing.T) {
	t.Helper()
	until(t, time.Minute, n.name+" answers", func() bool { return ask(n.addr, "ping") == "PONG" })
}

// addresses are the client addresses of nodes.
func addresses(nodes []*restartable) (addrs []string) {
	for _, n := range nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// launch starts the published nodes, or the first ones of them, all at once on
// free ports, with a memory limit, and waits until they agree on one map that stays.
func launch(t *testing.T, count int, memory string) []*restartable {
	t.Helper()
	return launchAs(t, false, count, memory)
}

// launchAs is launch with nodes as users run them, parents of workers, or without.
func launchAs(t *testing.T, parents bool, count int, memory string) []*restartable {
	t.Helper()
	base := freeBlock(t, portsEach*count)
	var lines []string
	for _, line := range contract[:count] {
		lines = append(lines, onPorts(line, base)+" --max-memory-bytes "+memory)
	}
	nodes := prepare(t, lines...)
	for _, n := range nodes {
		n.parent = parents
		n.start(t)
	}
	awaitMap(t, addresses(nodes))
	return nodes
}

package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// RedisConfig says which cluster to start.
type RedisConfig struct {
	Program     string // redis-server or valkey-server
	Dir         string // of data and logs
	Masters     int    // each with one replica
	NodeTimeout time.Duration
	Args        []string // more, for every node; all that is not said is the program's default
}

// Redis is a Redis or Valkey Cluster on this machine: masters, and as many replicas.
type Redis struct {
	cfg   RedisConfig
	name  string
	nodes []*redisNode
	fence *fence
}

type redisNode struct {
	process
	direct string // where it listens
	front  string // what it announces: a relay
	bus    string // the relay of its bus
	listen []net.Listener
}

// NewRedis starts a cluster and waits until it serves. Close must be called.
func NewRedis(cfg RedisConfig) (*Redis, error) {
	program, err := exec.LookPath(cfg.Program)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: %w", cfg.Program, err)
	}
	cfg.Program = program
	r := &Redis{cfg: cfg, fence: newFence()}
	for i := range 2 * cfg.Masters {
		n, err := r.node(i)
		if err != nil {
			r.Close()
			return nil, err
		}
		r.nodes = append(r.nodes, n)
		if err := n.start(); err != nil {
			r.Close()
			return nil, err
		}
	}
	if err := r.join(); err != nil {
		r.Close()
		return nil, err
	}
	r.name = load.ServerName(r.nodes[0].direct)
	return r, nil
}

// speaker is the address that a node dials from; loopback has them all.
func speaker(i int) string { return fmt.Sprintf("127.0.1.%d", i+1) }

// who is the node that dials from an address.
func (r *Redis) who(a net.Addr) int {
	host, _, _ := net.SplitHostPort(a.String())
	last, ok := strings.CutPrefix(host, "127.0.1.")
	n, err := strconv.Atoi(last)
	if !ok || err != nil {
		return -1
	}
	return n - 1
}

// node prepares a node behind two relays.
func (r *Redis) node(i int) (*redisNode, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.cfg.Dir, fmt.Sprint("node", i+1))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	n := &redisNode{direct: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))}
	for k, port := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		n.listen = append(n.listen, l)
		if k == 0 {
			n.front = l.Addr().String()
		} else {
			n.bus = l.Addr().String()
		}
		go (&relay{fence: r.fence, node: i, back: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), who: r.who, l: l}).serve()
	}
	n.process = process{program: r.cfg.Program, log: filepath.Join(dir, "log"), args: append([]string{
		"--port", strconv.Itoa(ports[0]), "--cluster-port", strconv.Itoa(ports[1]), "--bind", "127.0.0.1", "--bind-source-addr", speaker(i),
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", strconv.FormatInt(r.cfg.NodeTimeout.Milliseconds(), 10),
		"--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", portOf(n.front), "--cluster-announce-bus-port", portOf(n.bus),
		"--save", "", "--appendonly", "no", "--dir", dir, "--daemonize", "no",
	}, r.cfg.Args...)}
	return n, nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// freePorts are ports that nobody listened on a moment ago.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// joinLimit is how long a cluster may take to form.
const joinLimit = 30 * time.Second

// until polls a condition.
func until(limit time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s", limit, what)
		}
	}
	return nil
}

// join makes a cluster of the nodes: the first half gets the slots, the second half
// replicates it.
func (r *Redis) join() error {
	for i, n := range r.nodes {
		if err := until(joinLimit, "an answer of "+n.direct+", see "+n.log, func() bool { _, err := ask(n.direct, "PING"); return err == nil }); err != nil {
			return err
		}
		if _, err := ask(n.direct, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if i < r.cfg.Masters {
			first, last := i*shardmap.Slots/r.cfg.Masters, (i+1)*shardmap.Slots/r.cfg.Masters-1
			if _, err := ask(n.direct, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
				return err
			}
		}
		if _, err := ask(r.nodes[0].direct, "CLUSTER", "MEET", "127.0.0.1", portOf(n.front), portOf(n.bus)); err != nil {
			return err
		}
	}
	err := until(joinLimit, "all nodes know each other", func() bool {
		return !r.any(func(n *redisNode) bool {
			return r.field(n, "CLUSTER", "cluster_known_nodes") != strconv.Itoa(len(r.nodes))
		})
	})
	if err != nil {
		return err
	}
	for i, n := range r.nodes[r.cfg.Masters:] {
		id, err := ask(r.nodes[i].direct, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		// A replica may have heard of its master and not yet of the master's slots.
		if err := until(joinLimit, "a replica of "+r.nodes[i].direct, func() bool { _, err := ask(n.direct, "CLUSTER", "REPLICATE", string(id.Text)); return err == nil }); err != nil {
			return err
		}
	}
	return until(joinLimit, "the cluster is whole", r.Healthy)
}

func (r *Redis) any(bad func(*redisNode) bool) bool {
	for _, n := range r.nodes {
		if bad(n) {
			return true
		}
	}
	return false
}

// field is one line of CLUSTER INFO, or of INFO.
func (r *Redis) field(n *redisNode, of, name string) string {
	words := []string{"CLUSTER", "INFO"}
	if of != "CLUSTER" {
		words = []string{"INFO", of}
	}
	v, err := ask(n.direct, words...)
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(v.Text)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(l), name+":"); ok {
			return text
		}
	}
	return ""
}

// Healthy says whether every slot is served and every replica follows its master.
func (r *Redis) Healthy() bool {
	masters := 0
	sick := r.any(func(n *redisNode) bool {
		if r.field(n, "CLUSTER", "cluster_state") != "ok" || r.field(n, "CLUSTER", "cluster_slots_fail") != "0" {
			return true
		}
		if r.field(n, "replication", "role") == "master" {
			masters++
			return r.field(n, "replication", "connected_slaves") == "0"
		}
		return r.field(n, "replication", "master_link_status") != "up"
	})
	return !sick && masters == r.cfg.Masters
}

// Cluster says what it is.
func (r *Redis) Cluster() report.Cluster {
	return report.Cluster{
		Server: r.name, Nodes: len(r.nodes), Copies: 2, Groups: r.cfg.Masters, Ack: "async", WAL: "off",
		Note: fmt.Sprintf("cluster-node-timeout %v", r.cfg.NodeTimeout),
	}
}

// Seeds are the addresses of all nodes.
func (r *Redis) Seeds() (addrs []string) {
	for _, n := range r.nodes {
		addrs = append(addrs, n.direct)
	}
	return addrs
}

// Node finds a node by what it announces or where it listens.
func (r *Redis) Node(addr string) (int, string) {
	for i, n := range r.nodes {
		if addr == n.front || addr == n.direct {
			return i, n.direct
		}
	}
	return -1, addr
}

// Inject begins a fault.
func (r *Redis) Inject(f Fault, node int) error {
	n := r.nodes[node]
	switch f {
	case Kill:
		n.kill()
	case Pause:
		if _, ok := n.signal(syscall.SIGSTOP); !ok {
			return errors.New("the node does not run")
		}
	case Partition:
		r.fence.held.Store(0)
		r.fence.set(node, true)
	}
	return nil
}

// Mend ends a fault and says how it was seen.
func (r *Redis) Mend(f Fault, node int) (evidence string, acted bool, err error) {
	n := r.nodes[node]
	switch f {
	case Kill:
		acted = !n.runs()
		return "the process was gone", acted, n.start()
	case Pause:
		acted = n.stopped()
		n.signal(syscall.SIGCONT)
		return "the kernel showed it stopped", acted, nil
	}
	r.fence.set(node, false)
	held := r.fence.held.Load()
	return fmt.Sprintf("%d bytes between it and the others had to wait", held), held > 0, nil
}

// Close ends every process and relay.
func (r *Redis) Close() {
	r.fence.close()
	for _, n := range r.nodes {
		n.kill()
		for _, l := range n.listen {
			_ = l.Close()
		}
	}
}

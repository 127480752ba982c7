package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// demoNode is one child process of a demo.
type demoNode struct {
	id   string
	port int
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// demo is a cluster of child processes in a temporary directory.
type demo struct {
	dir    string
	memory string
	out    io.Writer
	nodes  []*demoNode
}

func newDemo() *cobra.Command {
	var d demo
	var nodes, rate int
	var killEvery time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a temporary cluster of three nodes on this machine, gone at Ctrl-C",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return d.run(ctx, nodes, rate, killEvery)
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes")
	cmd.Flags().StringVar(&d.memory, "max-memory-bytes", "128MiB", "memory of each node")
	cmd.Flags().IntVar(&rate, "load", 0, "writes a second to run beside it")
	cmd.Flags().DurationVar(&killEvery, "kill-every", 0, "kill -9 a random node this often and start it again")
	return cmd
}

func (d *demo) run(ctx context.Context, nodes, rate int, killEvery time.Duration) (err error) {
	switch {
	case nodes < 1 || nodes > 9:
		return usageError("--nodes is %d: it must be from 1 to 9", nodes)
	case rate < 0 || rate > loadMax:
		return usageError("--load is %d: it must be from 0 to %d writes a second", rate, loadMax)
	case killEvery < 0:
		return usageError("--kill-every is %v: it must be 0 (never) or more", killEvery)
	}
	if d.dir, err = os.MkdirTemp("", "aegis-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	defer d.stop()
	first, claim, err := freePorts(7000, nodes)
	if err != nil {
		return err
	}
	defer claim.Close()
	for i := range nodes {
		n := &demoNode{id: fmt.Sprintf("node%d", i+1), port: first + demoStep*i}
		d.nodes = append(d.nodes, n)
		if err := d.start(n); err != nil {
			return err
		}
	}
	if err := d.await(ctx, nodes); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%d nodes serve. Try:\n\n    redis-cli -c -p %d set hello world\n    redis-cli -c -p %d get hello\n    %s status --addr localhost:%d\n\nCtrl-C ends the demo and removes %s\n",
		nodes, d.nodes[0].port, d.nodes[nodes-1].port, os.Args[0], d.nodes[0].port, d.dir)
	if rate > 0 {
		go d.load(ctx, rate)
	}
	if killEvery > 0 {
		d.killLoop(ctx, killEvery)
	}
	<-ctx.Done()
	fmt.Fprintf(d.out, "\nthe nodes leave, and %s goes\n", d.dir)
	return nil
}

// loadMax is how many writes a second the demo offers at most: one goroutine writes them.
// aegis bench offers more.
const loadMax = 10_000

// demoStep is how far apart the client ports of two nodes are.
const demoStep = 10

// claimStep is the port, counted from the first, that no node uses and that belongs to
// the demo itself for as long as it runs.
const claimStep = demoStep - 1

// freePorts finds the first client port, at or after want, such that the five ports
// of each node are free. All nodes move together: some ports of an old demo that did
// not end may be free, and still be registered in what is left of its cluster. Until
// the claim is closed nobody else is given these ports: two demos started at once saw
// the same ones free, and one of them ended.
func freePorts(want, nodes int) (first int, claim io.Closer, err error) {
	for port := want; port < want+2000; port += 100 {
		claim, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+claimStep)))
		if err != nil {
			continue
		}
		free := true
		for i := range nodes {
			for plane := range 5 {
				free = free && portFree(port+demoStep*i+plane)
			}
		}
		if free {
			return port, claim, nil
		}
		_ = claim.Close()
	}
	return 0, nil, fmt.Errorf("no free ports for %d nodes from %d on: stop what uses them (ss -ltnp shows it)", nodes, want)
}

func portFree(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return p.Close() == nil
}

func (d *demo) start(n *demoNode) error {
	log, err := os.OpenFile(filepath.Join(d.dir, n.id+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	local := func(p int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p)) }
	args := []string{
		"--no-supervise", "--id", n.id, "--client-addr", local(n.port), "--gossip-addr", local(n.port + 2),
		"--data-dir", d.dir, "--max-memory-bytes", d.memory,
	}
	if n != d.nodes[0] {
		args = append(args, "--seeds", local(d.nodes[0].port+2))
	}
	n.cmd = exec.Command(exe, args...)
	n.cmd.Stderr = log
	n.cmd.Env = withoutSettings(os.Environ())
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	dieWithMe(n.cmd.SysProcAttr, syscall.SIGKILL)
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.done = make(chan struct{})
	cmd, done := n.cmd, n.done
	go func() { _ = cmd.Wait(); close(done) }()
	return nil
}

// withoutSettings drops variables of ours: a demo is the same everywhere.
func withoutSettings(environ []string) []string {
	return slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "AEGIS_") })
}

// await waits until every group is served and has its replicas.
func (d *demo) await(ctx context.Context, nodes int) error {
	last := ""
	for {
		verdict, ready := d.verdict()
		if ready || (nodes < 3 && strings.HasPrefix(verdict, "no failover")) {
			return nil
		}
		if verdict != last {
			fmt.Fprintln(d.out, verdict)
			last = verdict
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.nodes[0].done:
			return fmt.Errorf("%s ended; its log is %s", d.nodes[0].id, d.tail(d.nodes[0]))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demo) tail(n *demoNode) string {
	b, _ := os.ReadFile(filepath.Join(d.dir, n.id+".log"))
	return "\n" + string(b[max(0, len(b)-2000):])
}

func (d *demo) verdict() (string, bool) {
	r, err := fetchStatus(net.JoinHostPort("127.0.0.1", strconv.Itoa(d.nodes[0].port)))
	if err != nil {
		return "starting", false
	}
	return r.Verdict, r.Healthy && len(r.Nodes) == len(d.nodes)
}

func (d *demo) killLoop(ctx context.Context, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		n := d.nodes[rand.IntN(len(d.nodes))]
		fmt.Fprintf(d.out, "kill -9 %s\n", n.id)
		_ = n.cmd.Process.Kill()
		<-n.done
		time.Sleep(time.Second)
		if ctx.Err() != nil {
			return
		}
		if err := d.start(n); err != nil {
			fmt.Fprintln(d.out, "start again:", err)
		}
	}
}

// stop asks every node to leave, and kills what has not left after three seconds.
func (d *demo) stop() {
	for _, n := range d.nodes {
		if n.cmd != nil && n.cmd.Process != nil {
			_ = n.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, n := range d.nodes {
		if n.done == nil {
			continue
		}
		select {
		case <-n.done:
		case <-limit.Done():
			_ = n.cmd.Process.Kill()
			<-n.done
		}
	}
}

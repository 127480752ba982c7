package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Node is one aegis process, and what is needed to start it again.
type Node struct {
	Name string
	c    *Cluster
	port int // of clients; the next ones are those of the cluster and of gossip

	mu     sync.Mutex
	cmd    *exec.Cmd // nil: it does not run
	ended  chan struct{}
	paused bool
	held   *os.File // the reading end of a log that nobody reads
	clock  []tick
}

// Addr is where clients find the node.
func (n *Node) Addr() string { return net.JoinHostPort(setHost, strconv.Itoa(n.port)) }

// listens is where the node takes clients: behind a relay that has its address, or there.
func (n *Node) listens() string {
	if n.c.cfg.Fronted {
		return net.JoinHostPort(ownHost, strconv.Itoa(n.port))
	}
	return n.Addr()
}

// Direct is where the suite itself finds the node, past a relay of clients.
func (n *Node) Direct() string { return n.listens() }

// LogPath is the file that takes the node's log.
func (n *Node) LogPath() string { return filepath.Join(n.c.Dir, n.Name+".log") }

// Dir is where the node keeps its files.
func (n *Node) Dir() string { return filepath.Join(n.c.Dir, "data", n.Name) }

// PID is the node's process id, 0 when it does not run.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// Runs says whether the process is there, stopped or not.
func (n *Node) Runs() bool { return n.PID() != 0 }

// Paused says whether it was told to stand still.
func (n *Node) Paused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paused
}

func (n *Node) args() []string {
	var seeds []string
	for _, o := range n.c.Founders() {
		seeds = append(seeds, fmt.Sprintf("%s:%d", setHost, o.port+2))
	}
	a := []string{
		"--id", n.Name, "--client-addr", n.listens(),
		"--cluster-addr", fmt.Sprintf("%s:%d", ownHost, n.port+1), "--gossip-addr", fmt.Sprintf("%s:%d", ownHost, n.port+2),
		"--gateway-addr", "off", "--admin-addr", n.admin(), "--advertise", setHost, "--seeds", strings.Join(seeds, ","),
		"--data-dir", filepath.Join(n.c.Dir, "data"), "--log-format", "json", "--log-level", "debug",
	}
	return append(a, n.c.cfg.Args...)
}

// Start starts the process, with its log behind what it has logged before.
func (n *Node) Start() error { return n.start(nil) }

// StartUnread starts the process with a log that nobody reads: a pipe that fills.
func (n *Node) StartUnread() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	n.mu.Lock()
	n.held = r
	n.mu.Unlock()
	return n.start(w)
}

func (n *Node) start(out *os.File) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return fmt.Errorf("%s runs already", n.Name)
	}
	if out == nil {
		log, err := os.OpenFile(n.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		out = log
	}
	cmd := exec.Command(n.c.cfg.Aegis, n.args()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.c.Dir, out, out
	cmd.Env = append(append(os.Environ(), "AEGIS_NO_SUPERVISE=on"), n.c.cfg.Env...) // a kill is to be one of all there is
	if n.c.cfg.Orders {
		cmd.Env = append(cmd.Env, "CHAOS_FAULTS="+n.orders())
		n.clock = append(n.clock, tick{at: Now()})
	}
	if err := n.c.starter.start(cmd); err != nil {
		return fmt.Errorf("%s cannot be started: %w", n.Name, err)
	}
	ended := make(chan struct{})
	n.cmd, n.ended, n.paused = cmd, ended, false
	go func() {
		_ = cmd.Wait()
		n.mu.Lock()
		n.cmd, n.paused = nil, false
		if n.held != nil {
			_ = n.held.Close()
			n.held = nil
		}
		n.mu.Unlock()
		close(ended)
	}()
	n.c.told(n, "start")
	return nil
}

// ReadLog reads the log of a node that was started unread, from now on, and gives how many
// bytes had waited.
func (n *Node) ReadLog() (waited int, err error) {
	n.mu.Lock()
	r := n.held
	n.held = nil
	n.mu.Unlock()
	if r == nil {
		return 0, nil
	}
	log, err := os.OpenFile(n.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	b := make([]byte, 1<<20)
	if waited, err = r.Read(b); err == nil {
		_, err = log.Write(b[:waited])
	}
	go func() {
		defer r.Close()
		defer log.Close()
		_, _ = io.Copy(log, r)
	}()
	return waited, err
}

// signal sends a signal; false when there is no process.
func (n *Node) signal(s syscall.Signal) (ended chan struct{}, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return nil, false
	}
	return n.ended, n.cmd.Process.Signal(s) == nil
}

// Kill ends the process as a crash does, and waits for its end.
func (n *Node) Kill() {
	if ended, ok := n.signal(syscall.SIGKILL); ok {
		n.c.told(n, "kill")
		<-ended
	}
}

// leaveMax is how long a node may take to leave in the ordinary way.
const leaveMax = 30 * time.Second

// Leave ends the process in the ordinary way, and waits for its end.
func (n *Node) Leave() error {
	ended, ok := n.signal(syscall.SIGTERM)
	if !ok {
		return nil
	}
	n.c.told(n, "leave")
	select {
	case <-ended:
		n.c.told(n, "left")
		return nil
	case <-time.After(leaveMax):
		n.Kill()
		return fmt.Errorf("%s had not left after %v, and was killed", n.Name, leaveMax)
	}
}

// Pause makes every thread of the process stand still, and waits until they do.
func (n *Node) Pause() error {
	if _, ok := n.signal(syscall.SIGSTOP); !ok {
		return fmt.Errorf("%s does not run", n.Name)
	}
	for range 1000 {
		if n.still() {
			n.mu.Lock()
			n.paused = true
			n.mu.Unlock()
			n.c.told(n, "pause")
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s does not stand still", n.Name)
}

// Resume lets it go on.
func (n *Node) Resume() {
	if !n.Paused() {
		return
	}
	n.c.told(n, "resume")
	n.mu.Lock()
	n.paused = false
	n.mu.Unlock()
	_, _ = n.signal(syscall.SIGCONT)
}

// still says whether every thread has taken SIGSTOP: until one has, the others go on.
func (n *Node) still() bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.PID()))
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(tasks) > 0
}

// Wipe removes all files of a node that does not run.
func (n *Node) Wipe() error {
	if n.Runs() {
		return errors.New("a node that runs cannot be wiped")
	}
	n.c.told(n, "wipe")
	return os.RemoveAll(n.Dir())
}

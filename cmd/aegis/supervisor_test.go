//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport"
)

// family is a node's process and its worker.
type family struct {
	*watched
	cmd    *exec.Cmd
	worker int
}

// startFamily starts a node as everybody does, or as prepare has it, and waits until it serves.
func startFamily(t *testing.T, prepare func(*exec.Cmd)) *family {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("finds processes in /proc")
	}
	f := &family{cmd: aegis(t, nodeArgs(t, t.TempDir(), "a")...)}
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(f.cmd)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range childrenOf(f.cmd.Process.Pid) {
			_ = syscall.Kill(p, syscall.SIGKILL)
		}
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	})
	f.watched = watch(stderr)
	f.served(t)
	return f
}

// served waits until the node serves, and finds its worker.
func (f *family) served(t *testing.T) {
	t.Helper()
	f.await(t, `"msg":"(serving)"`)
	children := childrenOf(f.cmd.Process.Pid)
	if len(children) != 1 || children[0] == f.worker {
		t.Fatalf("the children are %v; the worker before was %d", children, f.worker)
	}
	f.worker = children[0]
}

// gone waits until both have ended, which closes their stderr, and gives the exit code.
func (f *family) gone(t *testing.T) int {
	t.Helper()
	late := time.AfterFunc(30*time.Second, func() {
		_ = f.cmd.Process.Kill()
		_ = syscall.Kill(f.worker, syscall.SIGKILL) // never 0: served found it
	})
	for range f.lines {
	}
	if !late.Stop() {
		t.Errorf("the node had to be killed; it said\n%s", f.said())
	}
	_ = f.cmd.Wait()
	for end := time.Now().Add(10 * time.Second); alive(f.worker) && time.Now().Before(end); {
		runtime.Gosched() // a process closes its files before it is dead
	}
	if alive(f.worker) {
		t.Errorf("the worker %d is left behind", f.worker)
	}
	return f.cmd.ProcessState.ExitCode()
}

func (w *watched) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// childrenOf lists the processes with a parent, the dead that nobody waited for included.
func childrenOf(parent int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		b, _ := os.ReadFile(stat)
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			all = append(all, pid)
		}
	}
	return all
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// TestAKilledWorkerComesBack, and one that is told to leave does not.
func TestAKilledWorkerComesBack(t *testing.T) {
	f := startFamily(t, nil)
	_ = syscall.Kill(f.worker, syscall.SIGKILL)
	f.await(t, `the worker died.*"by":"(signal: killed)".*"incarnation":1`)
	f.served(t)
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	if code := f.gone(t); code != 0 || strings.Count(f.said(), "the worker died") != 1 {
		t.Errorf("exit code %d after SIGTERM; it said\n%s", code, f.said())
	}
}

// TestAWorkerLeavesWithItsParent: kill -9 of the parent is SIGTERM for the worker.
func TestAWorkerLeavesWithItsParent(t *testing.T) {
	f := startFamily(t, nil)
	_ = f.cmd.Process.Kill()
	f.await(t, `(leaving: handing leases over)`)
	f.gone(t)
}

// TestASignalForBothIsOneSignal: systemd sends SIGTERM, and a terminal SIGINT, or SIGHUP when
// it is closed, to the worker as well as to its parent, which passes it on.
func TestASignalForBothIsOneSignal(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) { // under nohup; what is started inherits it, unless it is caught here
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGHUP)
		defer signal.Ignore(syscall.SIGHUP)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		f := startFamily(t, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} })
		_ = syscall.Kill(-f.cmd.Process.Pid, sig)
		if code := f.gone(t); code != 0 || !strings.Contains(f.said(), "leaving: handing leases over") {
			t.Errorf("exit code %d after %v for both; it said\n%s", code, sig, f.said())
		}
	}
}

// TestWhoReadsTheLogMayEndFirst: nobody takes what the node says any more, as when tee ended
// before it; it serves, and leaves in order.
func TestWhoReadsTheLogMayEndFirst(t *testing.T) {
	for _, more := range [][]string{nil, {"--no-supervise"}} {
		cmd := aegis(t, append(nodeArgs(t, t.TempDir(), "a"), more...)...)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		write.Close()
		watch(read).await(t, `"msg":"(serving)"`)
		read.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it says that it leaves
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", more, err)
		}
	}
}

// TestASecondSignalEndsAWorkerThatHangs, and the supervisor says how it ended.
func TestASecondSignalEndsAWorkerThatHangs(t *testing.T) {
	f := startFamily(t, nil)
	_ = syscall.Kill(f.worker, syscall.SIGSTOP)
	go func() {
		for range time.Tick(10 * time.Millisecond) { // the kernel makes one of two that nobody has taken
			if f.cmd.Process.Signal(syscall.SIGTERM) != nil {
				return
			}
		}
	}()
	if code := f.gone(t); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d; it said\n%s", code, f.said())
	}
}

// TestAWorkerThatEndsInTheMiddleOfLeavingIsReleased: at a second SIGTERM it ends with 130 and
// its leases, and the peers need not wait for them to run out.
func TestAWorkerThatEndsInTheMiddleOfLeavingIsReleased(t *testing.T) {
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for code, released := range map[int]bool{0: false, 1: true, 130: true} {
		s := &supervisor{log: zap.NewNop}
		s.inherit(node.Will{
			Self:  transport.Identity{Cluster: [16]byte{1}, Node: 1, Counter: 1, Nonce: 1},
			Peers: map[shardmap.NodeID]string{2: peer.LocalAddr().String()},
		})
		if err := s.part(syscall.WaitStatus(code << 8)); (err == nil) != (code == 0) {
			t.Errorf("exit code %d: %v", code, err)
		}
		if dead := s.heir.Dead().Node == 1; dead != released {
			t.Errorf("exit code %d: buried %v", code, dead)
		}
		if !released {
			continue
		}
		_ = peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		for range wordTimes {
			if _, _, err := peer.ReadFrom(make([]byte, 1500)); err != nil {
				t.Errorf("exit code %d: the peer hears nothing: %v", code, err)
			}
		}
	}
}

// TestOthersChildrenAreReaped: process 1 of a container inherits what others leave behind.
func TestOthersChildrenAreReaped(t *testing.T) {
	f := startFamily(t, func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", `sleep 0 & exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	})
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	f.gone(t)
}

// TestASupervisorGivesUp: what dies at once, again and again, is not started for ever; what
// has run for a while is.
func TestASupervisorGivesUp(t *testing.T) {
	segfault := syscall.WaitStatus(syscall.SIGSEGV)
	for _, c := range []struct {
		deaths int
		lived  time.Duration
		code   int // 0: it is started again
	}{
		{deathsMax - 2, time.Second, 0},
		{deathsMax - 1, time.Second, 128 + int(syscall.SIGSEGV)},
		{deathsMax - 1, instantDeath, 0},
	} {
		s := &supervisor{log: zap.NewNop, deaths: c.deaths, pause: time.Millisecond}
		err, code := s.survive(segfault, c.lived), 0
		if e := (*exitError)(nil); errors.As(err, &e) {
			code = e.code
		}
		if code != c.code {
			t.Errorf("death %d, after %v: %v, want exit code %d", c.deaths+1, c.lived, err, c.code)
		}
		if code != 0 && !strings.Contains(err.Error(), "segmentation fault") {
			t.Errorf("%q does not say what of", err)
		}
	}
}

// TestAStartThatFailsIsTriedAgain where a worker has run before: the machine may have had no
// memory for one, a moment after it killed the last one for that. A first start that fails is
// a mistake.
func TestAStartThatFailsIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		born   bool
		deaths int
		again  bool
	}{
		{false, 0, false},
		{true, 0, true},
		{true, deathsMax - 2, true},
		{true, deathsMax - 1, false},
	} {
		s := &supervisor{log: zap.NewNop, born: c.born, deaths: c.deaths, pause: time.Millisecond}
		err := s.unborn(syscall.ENOMEM)
		if (err == nil) != c.again || err != nil && !errors.Is(err, syscall.ENOMEM) || c.again && s.pause != 2*time.Millisecond {
			t.Errorf("%+v: %v, the next pause is %v", c, err, s.pause)
		}
	}
	s := &supervisor{log: zap.NewNop, born: true, pause: time.Hour, signals: make(chan os.Signal, 1)}
	s.signals <- syscall.SIGTERM
	if err := s.unborn(syscall.EAGAIN); err != nil || !s.told {
		t.Errorf("told to end meanwhile: %v, told %v", err, s.told)
	}
}

// TestOnlyWhatCrashedIsStartedAgain: exit codes of a node are its own word.
func TestOnlyWhatCrashedIsStartedAgain(t *testing.T) {
	exited := func(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }
	for _, c := range []struct {
		end     syscall.WaitStatus
		crashed bool
		code    int
	}{
		{exited(0), false, 0},
		{exited(1), false, 1},
		{exited(exitUsage), false, exitUsage},
		{exited(130), false, 130},
		{exited(panicCode), true, panicCode},
		{syscall.WaitStatus(syscall.SIGKILL), true, 137},
		{syscall.WaitStatus(syscall.SIGABRT), true, 134},
	} {
		if crashed(c.end) != c.crashed || exitStatus(c.end) != c.code {
			t.Errorf("%#x: crashed %v, exit code %d; want %v, %d", c.end, crashed(c.end), exitStatus(c.end), c.crashed, c.code)
		}
	}
}

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one server.
type process struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// start runs a program pinned to one core; a negative core leaves it free.
func start(core int, program string, args ...string) (*process, error) {
	p := &process{name: program, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(os.Environ(), "AEGIS_NO_SUPERVISE=on") // what is measured is this process
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := make(chan error)
	go func() {
		// The child inherits the affinity of the thread that starts it, and dies with
		// that thread: it must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before, err := pin(core)
		if err == nil {
			err = p.cmd.Start()
			unpin(before)
		}
		begun <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", program, err)
	}
	return p, nil
}

// pin keeps the calling thread on one core and says where it was allowed before.
func pin(core int) (before unix.CPUSet, err error) {
	if err = unix.SchedGetaffinity(0, &before); err != nil || core < 0 {
		return before, err
	}
	var one unix.CPUSet
	one.Set(core)
	return before, unix.SchedSetaffinity(0, &one)
}

// unpin lets the calling thread run where it was allowed before.
func unpin(before unix.CPUSet) { _ = unix.SchedSetaffinity(0, &before) }

// stop ends the process, the hard way after a while.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// dead says that the process has ended, with its last words.
func (p *process) dead() error {
	select {
	case <-p.done:
		words := strings.Split(strings.TrimSpace(p.out.String()), "\n")
		return fmt.Errorf("%s ended: %s", p.name, words[len(words)-1])
	default:
		return nil
	}
}

// clockTick is the unit of /proc/PID/stat, the same on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuOf sums utime and stime of processes.
func cpuOf(ps []*process) (total time.Duration, err error) {
	for _, p := range ps {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		d, err := parseStat(b)
		if err != nil {
			return 0, err
		}
		total += d
	}
	return total, nil
}

// parseStat reads utime and stime. The name in parentheses may hold anything.
func parseStat(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields", len(fields))
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/PID/stat: utime %q, stime %q", fields[11], fields[12])
	}
	return time.Duration(user+system) * clockTick, nil
}

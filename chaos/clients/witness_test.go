package clients

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// roles are what this test binary can be beside a test: a process of its own that
// is started with the role's name in roleVariable.
var roles = map[string]func(){
	"witness": witnessMain, "disk": diskMain, "spinner": spinnerMain, "filler": fillerMain, "locker": lockerMain,
	"go-redis": goRedisMain, "rueidis": rueidisMain, "our-client": ourClientMain,
}

const roleVariable = "AEGIS_TEST_ROLE"

// startRole starts this binary in a role; it ends with the test.
func startRole(t *testing.T, role string, out io.Writer) *exec.Cmd {
	t.Helper()
	return startRoleAt(t, role, nil, nil, out)
}

// startRoleAt starts a role that is told the addresses of nodes.
func startRoleAt(t *testing.T, role string, seeds []string, in io.Reader, out io.Writer) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, seedsVariable+"="+strings.Join(seeds, ","))
	cmd.Dir = t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// lateMin is the smallest lateness the witness tells.
const lateMin = 2 * time.Millisecond

// witnessMain sleeps 1 ms in a loop and tells when it was woken late.
func witnessMain() {
	for os.Getppid() != 1 {
		before := time.Now()
		time.Sleep(time.Millisecond)
		if by := time.Since(before) - time.Millisecond; by > lateMin {
			fmt.Println(before.UnixNano(), int64(by))
		}
	}
}

// diskEvery is how often the disk's witness writes: rarely enough not to be the
// disturbance.
const diskEvery = 5 * time.Millisecond

// diskMain writes one page through to the disk now and then, and tells when that
// was slow. A lease moves in three writes that follow one another, so a bar on a
// move needs this one too: who only sleeps does not notice a disk that is busy.
func diskMain() {
	f, err := os.Create("page")
	for page := make([]byte, 4096); err == nil && os.Getppid() != 1; {
		before := time.Now()
		if _, err = f.WriteAt(page, 0); err == nil {
			err = f.Sync()
		}
		if by := time.Since(before); by > lateMin {
			fmt.Println(before.UnixNano(), int64(by))
		}
		time.Sleep(diskEvery)
	}
	fmt.Fprintln(os.Stderr, "the disk's witness ended:", err)
}

// witness is a process that only sleeps (or only writes a page), and what it was
// late: what this machine did to everybody, which no process under test is to blame
// for.
type witness struct {
	mu   sync.Mutex
	late []lateness
}

type lateness struct {
	at time.Time
	by time.Duration
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	return startWitnessOf(t, "witness")
}

// startWitnessOf starts the witness of a role: "witness" sleeps, "disk" writes.
func startWitnessOf(t *testing.T, role string) *witness {
	t.Helper()
	r, out := io.Pipe()
	startRole(t, role, out)
	t.Cleanup(func() { _ = out.Close() })
	w := &witness{}
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var at, by int64
			if _, err := fmt.Sscan(lines.Text(), &at, &by); err == nil {
				w.mu.Lock()
				w.late = append(w.late, lateness{time.Unix(0, at), time.Duration(by)})
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// disturbed says whether the witness was late by more than a fifth of a bar in a window.
func (w *witness) disturbed(from, to time.Time, bar time.Duration) bool {
	return w.wasLate(from, to, bar/5)
}

// wasLate says whether it was late by more than so much in a window.
func (w *witness) wasLate(from, to time.Time, by time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.late, func(l lateness) bool {
		return l.at.Before(to) && l.at.Add(l.by).After(from) && l.by > by
	})
}

package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// seedsVariable has the addresses of the nodes for a role.
const seedsVariable = "AEGIS_TEST_SEEDS"

// roleSeeds are the addresses that a role was told.
func roleSeeds() []string { return strings.Split(os.Getenv(seedsVariable), ",") }

// roleClient is the client of a role.
func roleClient() *client.Client {
	c, err := client.New(client.DefaultConfig(roleSeeds()))
	if err != nil {
		panic(err)
	}
	return c
}

const (
	fillerProcesses = 4
	fillerCallers   = 250 // in each process
)

// fillerMain reads names of keys, lets all its callers ask for each at once, and tells
// how often its loader ran and how many callers did not get the value.
func fillerMain() {
	c := roleClient()
	defer func() { _ = c.Close() }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		key := lines.Text()
		var loads, wrong atomic.Int32
		var wg sync.WaitGroup
		for range fillerCallers {
			wg.Go(func() {
				v, err := c.GetOrLoad(context.Background(), key, time.Minute, func(context.Context) ([]byte, error) {
					loads.Add(1)
					<-time.After(100 * time.Millisecond) // a slow database
					return []byte("value of " + key), nil
				})
				if string(v) != "value of "+key || err != nil {
					wrong.Add(1)
				}
			})
		}
		wg.Wait()
		fmt.Println(loads.Load(), wrong.Load())
	}
}

// roleProcess is a role that is spoken with line by line.
type roleProcess struct {
	in  io.Writer
	out *bufio.Scanner
}

func startSpoken(t *testing.T, role string, addrs []string) *roleProcess {
	t.Helper()
	answers, out := io.Pipe()
	in, questions := io.Pipe()
	startRoleAt(t, role, addrs, in, out)
	t.Cleanup(func() { _ = out.Close(); _ = questions.Close() }) // before the process is waited for
	return &roleProcess{questions, bufio.NewScanner(answers)}
}

// TestStampede: 1,000 callers in four processes miss a key at the same time, and its
// loader runs once.
func TestStampede(t *testing.T) {
	t.Parallel()
	addrs := addresses(launch(t, 3, "256MiB"))
	var fillers []*roleProcess
	for range fillerProcesses {
		fillers = append(fillers, startSpoken(t, "filler", addrs))
	}
	const keys = 10
	for i := range keys {
		key := fmt.Sprint("stampede:", i)
		for _, f := range fillers {
			if _, err := fmt.Fprintln(f.in, key); err != nil {
				t.Fatal(err)
			}
		}
		loads, wrong := 0, 0
		for _, f := range fillers {
			var l, w int
			if !f.out.Scan() {
				t.Fatal("a process has ended")
			}
			if _, err := fmt.Sscan(f.out.Text(), &l, &w); err != nil {
				t.Fatal(err)
			}
			loads, wrong = loads+l, wrong+w
		}
		if loads != 1 || wrong != 0 {
			t.Errorf("%s: loaded %d times for %d callers in %d processes, %d of them without the value", key, loads, fillerProcesses*fillerCallers, fillerProcesses, wrong)
		}
	}
	t.Logf("%d keys, %d callers in %d processes each", keys, fillerProcesses*fillerCallers, fillerProcesses)
}

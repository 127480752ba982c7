package judge

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Installed says whether redis-server is there. Where it is not, the test is named as
// not run, and fails when everything must run.
func Installed(t testing.TB) bool {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return true
	}
	line := fmt.Sprintf("NOT RUN: %s needs redis-server: apt-get install redis-server", t.Name())
	if os.Getenv("AEGIS_TEST_ALL") == "1" {
		t.Fatal(line)
	}
	fmt.Println(line)
	return false
}

// busAbove is how far above its port redis-server opens the one of the cluster bus.
const busAbove = 10000

// Start runs redis-server in cluster mode with all slots, so that it refuses what we
// refuse, until the test ends. It gives the address.
func Start(t testing.TB) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		_, port, _ := net.SplitHostPort(addr)
		if n, _ := strconv.Atoi(port); n > 1<<16-1-busAbove {
			continue
		}
		dir := t.TempDir()
		cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir,
			"--logfile", filepath.Join(dir, "log"), "--cluster-enabled", "yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		if serving(addr) {
			return addr
		}
	}
	t.Fatal("redis-server does not start")
	return ""
}

// serving waits until redis-server answers, gives it all slots, and waits until
// it says that the cluster is whole.
func serving(addr string) bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		nc, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		r := bufio.NewReader(nc)
		ask := func(line string) string {
			_, _ = nc.Write([]byte(line + "\r\n"))
			reply, _ := ReadRaw(r)
			return reply
		}
		if ask("CLUSTER ADDSLOTSRANGE 0 16383") != "+OK\r\n" {
			nc.Close()
			continue
		}
		ok := false
		for !ok && time.Now().Before(deadline) {
			ok = strings.Contains(ask("CLUSTER INFO"), "cluster_state:ok")
		}
		nc.Close()
		return ok
	}
	return false
}

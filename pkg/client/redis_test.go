package client

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// needs says whether a program is installed. Where it is not, the test prints a line
// that names it as not run, and fails when everything must run.
func needs(t *testing.T, program, pkg string) bool {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	line := fmt.Sprintf("NOT RUN: %s (pkg/client) needs %s: apt-get install %s", t.Name(), program, pkg)
	if os.Getenv("AEGIS_TEST_ALL") == "1" {
		t.Fatal(line)
	}
	fmt.Println(line)
	return false
}

// redisServer starts redis-server on a port that is free together with the port
// 10000 above it (the cluster bus), and gives its address.
func redisServer(t testing.TB, args ...string) string {
	t.Helper()
	for range 20 {
		addr, cmd, err := tryRedis(t, args)
		if err != nil {
			t.Log(err)
			continue
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return addr
	}
	t.Fatal("redis-server does not start")
	return ""
}

func tryRedis(t testing.TB, args []string) (string, *exec.Cmd, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(addr)
	if n, _ := strconv.Atoi(port); n > 50000 {
		return "", nil, errors.New("no room for the bus port above " + port)
	}
	dir := t.TempDir()
	cmd := exec.Command("redis-server", append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir,
		"--logfile", filepath.Join(dir, "log"), "--daemonize", "no",
	}, args...)...)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if out, err := exec.Command("redis-cli", "-p", port, "ping").CombinedOutput(); err == nil && bytes.Contains(out, []byte("PONG")) || bytes.Contains(out, []byte("NOAUTH")) {
			return addr, cmd, nil
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return "", nil, errors.New("no PONG from port " + port)
}

func TestStandaloneRedis(t *testing.T) {
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-cli", "redis-tools") {
		return
	}
	addr := redisServer(t, "--requirepass", "secret")
	cfg := DefaultConfig([]string{addr})
	c := open1(t, cfg)
	if err := c.Set(ctx, "k", nil); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Fatal("without a password:", err)
	}
	cfg.Password = "secret"
	exercise(t, open1(t, cfg))
	cfg.Durability = "majority"
	if err := open1(t, cfg).Set(ctx, "k", nil); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Fatal("a durability that the server does not know was taken:", err)
	}
}

func TestRedisCluster(t *testing.T) {
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-cli", "redis-tools") {
		return
	}
	var addrs []string
	for range 3 {
		addrs = append(addrs, redisServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
	}
	out, err := exec.Command("redis-cli", append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := open1(t, DefaultConfig(addrs[:1]))
	until(t, "the cluster is up", func() bool { return c.Set(ctx, "up", nil) == nil })
	exercise(t, c)
	if n := len(c.view.Load().table.nodes); n != 3 {
		t.Errorf("the map names %d nodes", n)
	}
	compareSlots(t, addrs[0])
	moveSlot(t, c, addrs)
}

func exercise(t *testing.T, c *Client) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("k%d-%d", g, i)
				if err := c.Set(ctx, key, []byte(key)); err != nil {
					t.Error(err)
					return
				}
				if v, err := c.Get(ctx, key); string(v) != key || err != nil {
					t.Errorf("%s: %q %v", key, v, err)
					return
				}
				if err := c.Delete(ctx, key); err != nil {
					t.Error(err)
				}
				if _, err := c.Get(ctx, key); err != ErrNotFound {
					t.Errorf("%s was deleted: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.SetWithTTL(ctx, "short", []byte("x"), 30); err != nil {
		t.Fatal(err)
	}
	until(t, "the time to live ends", func() bool { _, err := c.Get(ctx, "short"); return err == ErrNotFound })
}

// compareSlots asks a real Redis for the slot of awkward keys.
func compareSlots(t *testing.T, addr string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	for _, key := range []string{
		"a", "foo", "{foo}bar", "bar{foo}", "{}", "{}x", "x{}y{z}", "{{a}}", "{a}{b}", "a}b{c}", "{", "}", "{abc", "}{x}",
		"\x00\xff binary", "ключ", "{ }", "very long " + strings.Repeat("x", 5000), "123456789",
	} {
		cmd := exec.Command("redis-cli", "-p", port, "-x", "cluster", "keyslot")
		cmd.Stdin = strings.NewReader(key)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(shardmap.SlotOfString(key)); got != strings.TrimSpace(string(out)) {
			t.Errorf("slot of %q is %s, Redis says %s", shorten(key), got, out)
		}
	}
}

// moveSlot gives a slot with data to another node, as redis-cli --cluster reshard
// does, while the client reads it: MOVED and ASK are followed.
func moveSlot(t *testing.T, c *Client, addrs []string) {
	t.Helper()
	cli := func(addr string, words ...string) string {
		_, port, _ := net.SplitHostPort(addr)
		out, err := exec.Command("redis-cli", append([]string{"-p", port}, words...)...).CombinedOutput()
		if err != nil || bytes.HasPrefix(out, []byte("ERR")) {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := c.Set(ctx, "moving", []byte("v")); err != nil {
		t.Fatal(err)
	}
	slot := fmt.Sprint(shardmap.SlotOfString("moving"))
	from, _ := c.view.Load().table.addrOf(shardmap.SlotOfString("moving"))
	to := addrs[0]
	if to == from {
		to = addrs[1]
	}
	fromID, toID := cli(from, "cluster", "myid"), cli(to, "cluster", "myid")
	cli(to, "cluster", "setslot", slot, "importing", fromID)
	cli(from, "cluster", "setslot", slot, "migrating", toID)
	host, port, _ := net.SplitHostPort(to)
	cli(from, "migrate", host, port, "moving", "0", "1000")
	read := func(when string) {
		if v, err := c.Get(ctx, "moving"); string(v) != "v" || err != nil {
			t.Errorf("%s: %q %v", when, v, err)
		}
	}
	read("while the slot migrates")
	for _, addr := range addrs {
		cli(addr, "cluster", "setslot", slot, "node", toID)
	}
	read("after the slot moved")
	if at, _ := c.view.Load().table.addrOf(shardmap.SlotOfString("moving")); at != to {
		t.Errorf("the map says %s, the slot is at %s", at, to)
	}
}

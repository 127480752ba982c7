//go:build foreign

package clients

import (
	"os"
	"os/exec"
	"testing"
)

// TestForeignClientsInEveryPhase runs what `make clients` has installed.
func TestForeignClientsInEveryPhase(t *testing.T) {
	nodes := launch(t, 3, "256MiB --num-groups 256")
	for _, f := range []struct{ name, interpreter, program string }{
		{"ioredis", "node", "ioredis.mjs"},
		{"node-redis", "node", "node-redis.mjs"},
		{"valkey-glide", "node", "valkey-glide.mjs"},
		{"redis-py", "/usr/bin/python3", "redis_py.py"},
	} {
		t.Run(f.name, func(t *testing.T) {
			if f.interpreter == "node" && !needs(t, "node", "nodejs npm") {
				return
			}
			if f.interpreter != "node" && exec.Command(f.interpreter, "-c", "import redis").Run() != nil {
				needs(t, "a Python with redis-py", "python3-redis")
				return
			}
			if _, err := os.Stat("foreign/node_modules"); err != nil {
				t.Fatal("make clients installs what this needs")
			}
			for _, n := range nodes {
				if got := ask(n.addr, "flushall"); got != "OK" {
					t.Fatal(got)
				}
			}
			c := converse(t, addresses(nodes), f.interpreter, f.program)
			record(t, f.name, c, inEveryPhase(t, nodes, c))
		})
	}
}

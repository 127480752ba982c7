package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
)

// TestRebalancingIsCancelledAndResumed on four processes: the fourth joins, copies are on
// their way to it, slowly, and operators cancel that and let it go on again.
func TestRebalancingIsCancelledAndResumed(t *testing.T) {
	slow := []string{"--num-shards", "16", "--fill-bytes-per-second", "64KiB"}
	first := nodeArgs(t, t.TempDir(), "a", slow...)
	serving(t, first)
	addr := valueOf(first, "--client-addr")
	seeds := append([]string{"--seeds", valueOf(first, "--gossip-addr")}, slow...)
	for _, id := range []string{"b", "c"} {
		serving(t, nodeArgs(t, t.TempDir(), id, seeds...))
	}
	becomes(t, addr, "healthy with three nodes", func(r node.ClusterReport) bool { return r.Healthy && len(r.Nodes) == 3 && r.Halted == nil })
	fillWith(t, addr, 2<<20)

	fourth := nodeArgs(t, t.TempDir(), "d", seeds...)
	leave := serving(t, fourth)
	becomes(t, addr, "copying to d", func(r node.ClusterReport) bool { return len(r.Moves) > 0 && len(copiesAt(r, "d")) > 0 })
	said(t, "rebalancing is halted: copies stay where they are; aegis status shows what does not move, aegis rebalance --resume lets it go on", "rebalance", "--cancel", "--addr", addr)
	said(t, `{"halted":true,"changed":false}`, "rebalance", "--cancel", "-o", "json", "--addr", addr)
	r := becomes(t, addr, "at rest in a halt", func(r node.ClusterReport) bool {
		given := func(g node.GroupReport) bool { return !g.Whole } // to be dropped, by d itself
		return r.Healthy && len(r.Moves) == 0 && r.Moving == nil && r.Halted != nil && !slices.ContainsFunc(copiesAt(r, "d"), given)
	})
	had := len(copiesAt(r, "d")) // those that counted when it came
	if r.Halted.Copies != 12-had || r.Halted.Bytes == 0 {
		t.Errorf("d has %d of 12 copies, and of the others it is said: %+v", had, *r.Halted)
	}
	said(t, fmt.Sprintf("rebalancing is halted by an operator: %d copies", 12-had), "status", "--addr", addr)
	said(t, "rebalancing is halted: what is for the sake of load waits for aegis rebalance --resume", "rebalance", "--dry-run", "--addr", addr)

	leave() // it comes back, and knows
	serving(t, fourth)
	there := valueOf(fourth, "--client-addr")
	r = becomes(t, there, "still halted", func(r node.ClusterReport) bool { return r.Healthy && r.Halted != nil })
	if now := len(copiesAt(r, "d")); now != had {
		t.Errorf("d had %d copies and has %d", had, now)
	}
	said(t, "rebalancing goes on: aegis status shows how far it is", "rebalance", "--resume", "--addr", there)
	said(t, "rebalancing is not halted", "rebalance", "--resume", "--addr", addr)
	becomes(t, addr, "balanced", func(r node.ClusterReport) bool {
		return r.Healthy && r.Halted == nil && len(r.Moves) == 0 && len(copiesAt(r, "d")) == 12
	})
}

// TestCancelWordsAreNotMixed: what changes something is not taken for a question.
func TestCancelWordsAreNotMixed(t *testing.T) {
	fails(t, exitUsage, []string{"rebalance", "--cancel", "--resume"}, "opposites")
	fails(t, exitUsage, []string{"rebalance", "--cancel", "--dry-run"}, "one or the other")
	fails(t, exitUsage, []string{"rebalance", "--resume", "--without", "b"}, "one or the other")
}

// copiesAt are the groups that a node has something of.
func copiesAt(r node.ClusterReport, name string) []node.GroupReport {
	for _, n := range r.Nodes {
		if n.Name == name {
			return n.Groups
		}
	}
	return nil
}

// said runs aegis and wants a line that begins with what it should say.
func said(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := aegis(t, args...).CombinedOutput()
	if err != nil || !bytes.Contains(append([]byte("\n"), out...), []byte("\n"+want)) {
		t.Errorf("aegis %s: %v, no line %q in\n%s", strings.Join(args, " "), err, want, out)
	}
}

// becomes asks for the status until it is so.
func becomes(t *testing.T, addr, what string, so func(node.ClusterReport) bool) (r node.ClusterReport) {
	t.Helper()
	look, end := time.NewTicker(100*time.Millisecond), time.After(3*time.Minute)
	defer look.Stop()
	for {
		b, err := admin(addr, "status")
		if r = (node.ClusterReport{}); err == nil && json.Unmarshal(b, &r) == nil && so(r) {
			return r
		}
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("the cluster does not become %s: %v %s", what, err, b)
		}
	}
}

// fillWith writes so many bytes that cannot be compressed.
func fillWith(t *testing.T, addr string, bytes int) {
	t.Helper()
	c, err := client.New(client.DefaultConfig([]string{addr}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	value := make([]byte, 8<<10)
	for i := range bytes / len(value) {
		for j := range value {
			value[j] = byte(rand.Uint32())
		}
		if err := c.Set(ctx, fmt.Sprint("key:", i), value); err != nil {
			t.Fatal(err)
		}
	}
}

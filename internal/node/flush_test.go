package node

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestAHalfDoneFlushAllIsNotRefused: CLUSTERDOWN means "nothing was applied, try
// again". FLUSHALL answers it after it has emptied the shards before the one that is
// in transition; for other commands the face closes the connection then.
func TestAHalfDoneFlushAllIsNotRefused(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "v")
	r.until(t, "+OK\r\n")
	layout := n.routes.Load().Layout()
	id := layout.GroupOf(layout.ShardOf(shardmap.SlotOf([]byte(allocKey))))
	last := shardmap.GroupID(layout.Groups)
	if id == last {
		t.Fatal("choose another key")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	parked := false
	_ = n.host.Do(ctx, func(now multiraft.Instant) { parked = n.core.data.Replica(last).Park(now) })
	if !parked {
		t.Fatal("not parked")
	}
	r.pipeline(1, "", "FLUSHALL")
	if _, err := r.nc.Write(r.ask); err != nil {
		t.Fatal(err)
	}
	got, _ := bufio.NewReader(r.nc).ReadString('\n') // nothing, when the connection is closed
	r = dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "EXISTS", allocKey)
	if left := r.answer(t); strings.HasPrefix(got, "-CLUSTERDOWN") && left == ":0\r\n" {
		t.Errorf("FLUSHALL says %q, and has flushed", got)
	}
}

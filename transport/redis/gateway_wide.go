package redis

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// wideMax is how long a flush is repeated while leases move.
const wideMax = 2 * time.Second

// everywhere puts a command that is about all keys to every holder, this node among
// them, and makes one reply of theirs. Nothing of the connection is run beside it.
func everywhere(join func(b []byte, g *gather, parts [][]byte) []byte) gatewayWord {
	return func(c *conn, cmd *command, args [][]byte) {
		if !c.settle() {
			return
		}
		m := c.srv.backend.Map()
		nodes, all := holders(m)
		if !all {
			c.failWith(ErrDown)
			return
		}
		if !cmd.reads {
			c.noteWrites(m)
		}
		g := &gather{join: join, write: !cmd.reads, parts: make([][]byte, len(nodes))}
		tasks := make([]task, len(nodes))
		for i, n := range nodes {
			tasks[i] = task{command: c.raw(args), node: n, write: g.write}
			if g.write {
				tasks[i].epoch = m.Epoch()
			}
		}
		c.forward(cmd, g, tasks...)
		c.fw.fence = true
	}
}

// holders are the nodes that hold slots; all when every slot is held.
func holders(m *shardmap.Map) (nodes []shardmap.NodeID, all bool) {
	held := 0
	seen := make(map[shardmap.NodeID]bool)
	for _, s := range m.Spans() {
		held += int(s.Last-s.First) + 1
		if !seen[s.Leader] {
			seen[s.Leader] = true
			nodes = append(nodes, s.Leader)
		}
	}
	return nodes, held == shardmap.Slots
}

// moved reports that leases went elsewhere while a task was under way that is about all
// of them: a shard may have been with neither node when each did its part.
func (t *task) moved(m *shardmap.Map, elapsed time.Duration) bool {
	if t.epoch == 0 || t.epoch == m.Epoch() || elapsed >= wideMax {
		return false
	}
	t.epoch = m.Epoch()
	return true
}

// mergeArrays puts arrays behind one another.
func mergeArrays(b []byte, _ *gather, parts [][]byte) []byte {
	n := 0
	var items [][]byte
	for _, p := range parts {
		head, rest, _ := bytes.Cut(p, []byte("\r\n"))
		count, _ := strconv.Atoi(string(head[1:]))
		n += count
		items = append(items, rest)
	}
	b = resp.AppendArray(b, n)
	for _, p := range items {
		b = append(b, p...)
	}
	return b
}

// mergeAny chooses one that is not the absent value, if there is any.
func mergeAny(b []byte, _ *gather, parts [][]byte) []byte {
	first := rand.IntN(len(parts))
	for i := range parts {
		if p := parts[(first+i)%len(parts)]; p[0] == '$' && p[1] != '-' {
			return append(b, p...)
		}
	}
	return append(b, parts[0]...)
}

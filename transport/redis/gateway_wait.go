package redis

import (
	"bufio"
	"bytes"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// WAIT through the gateway. Replies of other nodes carry no versions, so it is asked
// how far the whole shard is held, which is never less than what this client wrote there,
// if the lease is still the one that it wrote under. That is known without being told:
// a route names a lease that has begun, and a write that is sent after the gateway knows
// a route of epoch e is run under e or a later lease. When WAIT finds e itself, there was
// none in between. Otherwise the answer is UNBLOCKED, as on the client port after a lease
// was lost, once: what is written after that answer counts anew.

// noteWrite remembers the lease that a shard has as the client writes there, unless an
// older one is remembered.
func (c *conn) noteWrite(slot shardmap.Slot) {
	layout := c.fw.routes.Layout()
	shard := layout.ShardOf(slot)
	if c.wrote == nil {
		c.wrote = make([]uint32, layout.Shards)
	}
	if c.wrote[shard] == 0 {
		c.wrote[shard] = max(1, c.fw.routes.Route(layout.GroupOf(shard)).Epoch)
	}
}

// noteWrites does so for all shards.
func (c *conn) noteWrites(m *shardmap.Map) {
	c.fw.routes = m
	for i := range m.Layout().Shards {
		first, _ := m.Layout().SlotRange(shardmap.ShardID(i))
		c.noteWrite(first)
	}
}

// unnoteWrites takes that back for shards that have refused, where nothing was changed:
// WAIT would ask about writes that never were, of holders that may be away. before is what
// was noted of each shard until then, nil nothing.
func (c *conn) unnoteWrites(replies [][]byte, before []uint32) {
	for i, reply := range replies {
		switch {
		case !mayPass(errorCode(reply)):
		case before == nil:
			c.wrote[i] = 0
		default:
			c.wrote[i] = before[i]
		}
	}
}

// heldMark is what is asked about one shard.
type heldMark struct {
	shard   shardmap.ShardID
	epoch   uint32
	version shardmap.Version // 0 until it was answered once
}

func (c *conn) heldMarks() (marks []heldMark) {
	for i, epoch := range c.wrote {
		if epoch != 0 {
			marks = append(marks, heldMark{shard: shardmap.ShardID(i), epoch: epoch})
		}
	}
	return marks
}

// waitPause is between two questions how far shards are held, doubled up to ten times
// that.
const waitPause = time.Millisecond

// gatewayWait is WAIT for what this connection wrote, wherever that is.
func gatewayWait(c *conn, _ *command, args [][]byte) {
	n, timeout, ok := c.waitArgs(args)
	if !ok || !c.settle() {
		return
	}
	c.srv.blocked.Add(1)
	defer c.waited()
	marks, pause := c.heldMarks(), waitPause
	for begin := time.Now(); ; {
		held, ok := c.leastHeld(marks)
		switch {
		case !ok:
			return
		case held >= n || timeout > 0 && time.Since(begin) >= timeout || len(marks) == 0 || c.stopping.Load():
			c.int(int64(held))
			return
		case c.left():
			c.quit = true
			return
		}
		time.Sleep(pause)
		pause = min(2*pause, 10*waitPause)
	}
}

// leastHeld asks about all shards at once; when one cannot be answered it appends why.
func (c *conn) leastHeld(marks []heldMark) (least int, ok bool) {
	least = c.srv.backend.Followers()
	var tasks []task
	var asked []*heldMark
	c.fw.routes = nil // the newest map, every time
	for i := range marks {
		m := &marks[i]
		slot, _ := c.srv.backend.Map().Layout().SlotRange(m.shard)
		if here, _ := c.here(slot); here {
			v, held, err := c.srv.backend.Held(&c.sess, m.shard, m.epoch, m.version)
			if err == nil {
				m.version, least = v, min(least, held)
				continue
			}
		} // what is refused here is asked like the rest, with its patience
		tasks, asked = append(tasks, task{command: m.encode(), slot: slot}), append(asked, m)
	}
	if len(tasks) == 0 {
		return least, true
	}
	for i, reply := range c.ask(tasks...) {
		v, held, ok := parseHeld(reply)
		if !ok {
			c.failHeld(reply)
			return 0, false
		}
		asked[i].version, least = v, min(least, held)
	}
	return least, true
}

// failHeld answers WAIT with what a holder said.
func (c *conn) failHeld(reply []byte) {
	switch errorCode(reply) {
	case "":
		c.failWith(ErrDown)
		return
	case "UNBLOCKED":
		c.wrote = nil
	}
	c.out = append(c.out, reply...)
}

func (m *heldMark) encode() []byte {
	return resp.AppendCommand(nil, "AEGIS.HELD", strconv.Itoa(int(m.shard)), strconv.Itoa(int(m.epoch)), strconv.FormatUint(uint64(m.version), 10))
}

// parseHeld reads an answer of AEGIS.HELD.
func parseHeld(reply []byte) (v shardmap.Version, held int, ok bool) {
	r, err := resp.ReadReply(bufio.NewReader(bytes.NewReader(reply)))
	if err != nil || len(r.Items) != 2 || r.Items[0].Int < 0 {
		return 0, 0, false
	}
	return shardmap.Version(r.Items[0].Int), int(r.Items[1].Int), true
}

// cmdHeld is AEGIS.HELD shard epoch version: the version, or the shard's newest for 0, and
// how many followers hold it.
func cmdHeld(c *conn, args [][]byte) {
	var n [3]int64
	for i, most := range [3]int64{shardmap.Slots - 1, shardmap.MaxEpoch, 1<<63 - 1} {
		var ok bool
		if n[i], ok = parseInt(args[i+1]); !ok || n[i] < 0 || n[i] > most {
			c.fail(errInteger)
			return
		}
	}
	var v shardmap.Version
	var held int
	err := c.retry(func() (err error) {
		v, held, err = c.srv.backend.Held(&c.sess, shardmap.ShardID(n[0]), uint32(n[1]), shardmap.Version(n[2]))
		return err
	})
	if err != nil {
		c.failWith(err)
		return
	}
	c.out = resp.AppendArray(c.out, 2)
	c.int(int64(v))
	c.int(int64(held))
}

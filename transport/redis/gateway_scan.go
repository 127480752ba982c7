package redis

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// SCAN through the gateway goes shard by shard, from the first to the last. A place in
// a shard is a part of the hash space, the same on every node, and nobody keeps anything
// of a walk: whoever holds the shard when the next step is made goes on where the last
// one ended, so a key that is there all the while is met whatever moves meanwhile. Going
// node by node, as clients of the client ports must, would miss what moves behind it.

const (
	// scanStep is how many keys are asked for at a time: commands of other clients
	// wait behind them.
	scanStep = 1000
	// scanBarren is how many steps that find nothing are made for one reply.
	scanBarren = 64
)

// gatewayScan is SCAN over the shards of all nodes.
func gatewayScan(c *conn, _ *command, args [][]byte) {
	s := scan{count: 10}
	if !c.scanOptions(&s, args) || !c.settle() {
		return
	}
	keys, barren := 0, 0
	for left := s.count; left > 0 && barren < scanBarren; barren++ {
		seen, found, ok := c.scanOn(&s, int(min(left, scanStep)))
		if !ok {
			return
		}
		if seen > 0 {
			barren = 0
		}
		keys += found
		if left -= int64(seen); s.at == 0 {
			break
		}
	}
	c.leadScan(&s, keys)
}

// scanOn appends the keys of one step, here or where the shard is held. seen are those
// that were looked at, found those that are wanted.
func (c *conn) scanOn(s *scan, n int) (seen, found int, ok bool) {
	layout := c.srv.backend.Map().Layout()
	if int(s.at.Shard()) >= layout.Shards {
		s.at = 0
		return 0, 0, true
	}
	slot, _ := layout.SlotRange(s.at.Shard())
	c.fw.routes = nil // the newest map, for every step
	if here, _ := c.here(slot); here {
		seen, found, err := c.scanHere(s, n)
		if err == nil {
			return seen, found, c.roomy()
		}
		if !isMoved(err) && !errors.Is(err, ErrStale) {
			c.failWith(err)
			return 0, 0, false
		}
	}
	reply := c.ask(task{command: s.encode(n), slot: slot})[0]
	if errorCode(reply) != "" {
		c.out = append(c.out[:c.replyAt], reply...)
		return 0, 0, false
	}
	if seen, found, ok = c.takeStep(s, reply); !ok {
		c.failWith(ErrDown)
		return 0, 0, false
	}
	return seen, found, c.roomy()
}

// scanHere is scanHeld with its own check of the leases: those of a long walk would end
// before its reply, again and again, while the groups of this node move.
func (c *conn) scanHere(s *scan, n int) (seen, found int, err error) {
	at, before := s.at, len(c.out)
	if seen, found, err = c.scanHeld(s, n); err == nil {
		err = c.srv.backend.Commit(&c.sess)
	}
	if err != nil {
		s.at, c.out = at, c.out[:before]
	}
	return seen, found, err
}

// scanHeld appends the keys of about n from a place on, for as long as the shards are
// held here. Only the first is waited for.
func (c *conn) scanHeld(s *scan, n int) (seen, found int, err error) {
	step := func() error {
		next, err := c.srv.backend.Step(&c.sess, s.at, n-seen, func(key []byte) {
			seen++
			if s.wants(key) {
				c.out = resp.AppendBulk(c.out, key)
				found++
			}
		})
		s.at = next
		return err
	}
	if err = c.retry(step); err != nil {
		return 0, 0, err
	}
	for seen < n && s.at != 0 && step() == nil {
	}
	return seen, found, nil
}

// encode is what is asked of the holder of the shard.
func (s *scan) encode(n int) []byte {
	words := []string{"AEGIS.SCAN", strconv.FormatUint(uint64(s.at), 10), "COUNT", strconv.Itoa(n)}
	if s.match != nil {
		words = append(words, "MATCH", string(s.match))
	}
	if s.none {
		words = append(words, "TYPE", "none")
	}
	return resp.AppendCommand(nil, words...)
}

// takeStep appends the keys of an answer of AEGIS.SCAN.
func (c *conn) takeStep(s *scan, reply []byte) (seen, found int, ok bool) {
	parts := bytes.SplitN(reply, []byte("\r\n"), 6) // *3, $n, cursor, :seen, *found, keys
	if len(parts) < 6 || string(parts[0]) != "*3" || len(parts[3]) == 0 || len(parts[4]) == 0 {
		return 0, 0, false
	}
	at, err1 := strconv.ParseUint(string(parts[2]), 10, 64)
	seen, err2 := strconv.Atoi(string(parts[3][1:]))
	found, err3 := strconv.Atoi(string(parts[4][1:]))
	if err1 != nil || err2 != nil || err3 != nil {
		return 0, 0, false
	}
	s.at = Cursor(at)
	c.out = append(c.out, parts[5]...)
	return seen, found, true
}

// cmdStep is AEGIS.SCAN: SCAN that does not go on to shards held elsewhere, but says
// MOVED when it begins in one. It answers the next place, how many keys were looked at,
// and those that are wanted.
func cmdStep(c *conn, args [][]byte) {
	s := scan{count: 10}
	if !c.scanOptions(&s, args) {
		return
	}
	seen, found, err := c.scanHeld(&s, int(min(s.count, scanStep)))
	if err != nil {
		c.failWith(err)
		return
	}
	head := resp.AppendArray(nil, 3)
	head = resp.AppendBulk(head, strconv.FormatUint(uint64(s.at), 10))
	head = resp.AppendInt(head, int64(seen))
	c.lead(resp.AppendArray(head, found))
}

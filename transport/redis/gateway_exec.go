package redis

import (
	"bufio"
	"bytes"
	"math"
	"strconv"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Transactions through the gateway. What a watched key was is a few numbers that the
// holder gives (AEGIS.LOOK) and the gateway keeps; MULTI, those numbers (AEGIS.IF), the
// commands and EXEC travel to the holder as one piece, which compares them as it does
// for a client of its own. They name the lease that they were read under, so after a
// change of the holder EXEC answers null, as after a change of the key. Forwarding WATCH
// itself would need a connection for each client that watches, and would lose what it
// watched with that connection.

// relayed are the commands without keys that may stand in a transaction: they mean the
// same on any node, and leave nothing behind on the connection that carries them.
var relayed = map[string]bool{"ping": true, "echo": true, "time": true, "unwatch": true}

// gatewayWatch notes what keys are, here or where their slot is held.
func gatewayWatch(c *conn, cmd *command, args [][]byte) {
	if !c.mayWatch(args) || !c.settle() {
		return
	}
	slot := shardmap.SlotOf(args[1])
	here, hint := c.here(slot)
	if here {
		cmd.run(c, args)
		if hint = c.takeMoved(); hint == 0 {
			return
		}
	}
	words := append([][]byte{[]byte("AEGIS.LOOK")}, args[1:]...)
	reply := c.ask(task{command: encode(words...), slot: slot, hint: hint})[0]
	if errorCode(reply) != "" {
		c.out = append(c.out, reply...)
		return
	}
	seen, ok := parseGlances(reply)
	if !ok || len(seen) != len(args)-1 {
		c.failWith(ErrDown)
		return
	}
	c.watch(args[1:], seen)
	c.ok()
}

// gatewayExec runs a transaction where its slot is held.
func gatewayExec(c *conn, cmd *command, args [][]byte) {
	m := c.multi
	if !m.on || m.spoiled || m.crossed || !m.slot.known {
		cmd.run(c, args)
		return
	}
	here, hint := c.here(m.slot.slot)
	if m.write {
		c.noteWrite(m.slot.slot)
	}
	if here {
		cmd.run(c, args)
		if hint = c.takeMoved(); hint == 0 {
			return
		}
	}
	c.multi = multi{}
	b, before := m.encode()
	c.forward(cmd, nil, task{command: b, skip: before, slot: m.slot.slot, write: m.write, hint: hint})
}

// encode is the transaction as a client sends it, and how many replies come before the
// one of EXEC. The condition stands within MULTI: a node that does not know it discards
// the transaction.
func (m *multi) encode() (b []byte, before int) {
	b = resp.AppendCommand(nil, "MULTI")
	if before = 1 + len(m.queue); len(m.watched) > 0 {
		b = append(b, encode(m.conditions()...)...)
		before++
	}
	words := m.words
	for _, q := range m.queue {
		b = append(b, encode(words[:q.words]...)...)
		words = words[q.words:]
	}
	return resp.AppendCommand(b, "EXEC"), before
}

// conditions is AEGIS.IF for what is watched.
func (m *multi) conditions() [][]byte {
	words := [][]byte{[]byte("AEGIS.IF")}
	for _, w := range m.watched {
		words = append(words, w.key)
		for _, n := range w.seen.numbers() {
			words = append(words, strconv.AppendInt(nil, n, 10))
		}
	}
	return words
}

// numbers are a Glance between nodes.
func (g Glance) numbers() [3]int64 { return [3]int64{int64(g.Version), int64(g.Gone), int64(g.Epoch)} }

// glanceOf reads numbers; false when they are none of a Glance.
func glanceOf(n [3]int64) (Glance, bool) {
	g := Glance{Version: shardmap.Version(n[0]), Gone: uint32(n[1]), Epoch: uint32(n[2])}
	return g, n[0] >= 0 && n[1] >= 0 && n[1] <= math.MaxUint32 && n[2] >= 0 && n[2] <= math.MaxUint32
}

// parseGlances reads an answer of AEGIS.LOOK.
func parseGlances(reply []byte) (all []Glance, ok bool) {
	r, err := resp.ReadReply(bufio.NewReader(bytes.NewReader(reply)))
	if err != nil || len(r.Items)%3 != 0 {
		return nil, false
	}
	for i := 0; i < len(r.Items); i += 3 {
		g, ok := glanceOf([3]int64{r.Items[i].Int, r.Items[i+1].Int, r.Items[i+2].Int})
		if !ok {
			return nil, false
		}
		all = append(all, g)
	}
	return all, true
}

// cmdLook is AEGIS.LOOK key [key ...]: three numbers for each key, to be given to
// AEGIS.IF.
func cmdLook(c *conn, args [][]byte) {
	if !c.oneSlot(args, 1, 1) {
		return
	}
	c.out = resp.AppendArray(c.out, 3*(len(args)-1))
	for _, key := range args[1:] {
		seen, err := c.look(key)
		if err != nil {
			c.failWith(err)
			return
		}
		for _, n := range seen.numbers() {
			c.int(n)
		}
	}
}

// cmdIf is AEGIS.IF key version gone epoch [...], within MULTI: EXEC answers null unless
// the keys are what AEGIS.LOOK said. What cannot be read spoils the transaction.
func cmdIf(c *conn, args [][]byte) {
	m := &c.multi
	if !m.on {
		c.fail("ERR AEGIS.IF without MULTI")
		return
	}
	if m.wide || len(args)%4 != 1 { // a shard must not be held for commands about all of them
		m.spoiled = true
		c.fail(errSyntax)
		return
	}
	for i := 1; i < len(args); i += 4 {
		seen, ok := readGlance(args[i+1 : i+4])
		if !ok {
			m.spoiled = true
			c.fail(errInteger)
			return
		}
		m.crossed = !m.slot.meet(shardmap.SlotOf(args[i])) || m.crossed
		m.watched = append(m.watched, watched{m.keep(args[i]), seen})
	}
	c.ok()
}

// readGlance reads the three numbers of a Glance.
func readGlance(words [][]byte) (Glance, bool) {
	var n [3]int64
	for i := range n {
		var ok bool
		if n[i], ok = parseInt(words[i]); !ok {
			return Glance{}, false
		}
	}
	return glanceOf(n)
}

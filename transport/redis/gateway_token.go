package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// verdictUnknown is said of a version by who does not hold its shard.
const verdictUnknown = "unknown"

// gatewayToken is AEGIS.TOKEN. Replies of other nodes carry no versions, so in place of the
// one that a write got stands the newest one that its shard has, which is never less, and a
// sign that says so: where that one is durable the write is too, but it may have survived
// where that one is lost, so that nothing is said then. When the lease is over that it was
// written under, that is the answer, once, as of WAIT.
func gatewayToken(c *conn, _ *command, _ [][]byte) {
	if !c.settle() {
		return
	}
	held := c.heldMarks()
	if _, ok := c.leastHeld(held); !ok {
		return
	}
	marks := make([]Mark, len(held))
	for i, m := range held {
		marks[i] = Mark{m.shard, m.version, true}
	}
	c.out = resp.AppendBulk(c.out, c.srv.backend.Token(&c.sess, marks))
}

// String is the mark in a token.
func (m Mark) String() string {
	sign := ""
	if m.AtMost {
		sign = "+"
	}
	return fmt.Sprintf("%d.%d%s", m.Shard, m.Version, sign)
}

// gatewayCheck is AEGIS.CHECK: what this node cannot judge is asked of the holders, shard
// by shard.
func gatewayCheck(c *conn, _ *command, args [][]byte) {
	token := string(args[1])
	verdicts, err := c.srv.backend.Check(&c.sess, token)
	if err != nil {
		c.failWith(err)
		return
	}
	if !c.settle() {
		return
	}
	head := token[:strings.LastIndexByte(token, ':')+1]
	layout := c.srv.backend.Map().Layout()
	var tasks []task
	var asked []*Verdict
	for i := range verdicts {
		if v := &verdicts[i]; v.Word == verdictUnknown {
			slot, _ := layout.SlotRange(v.Shard)
			one := head + Mark{v.Shard, v.Version, v.AtMost}.String()
			tasks, asked = append(tasks, task{command: resp.AppendCommand(nil, "AEGIS.CHECK", one), slot: slot}), append(asked, v)
		}
	}
	if len(tasks) > 0 {
		for i, reply := range c.ask(tasks...) {
			word, ok := parseVerdict(reply)
			if !ok {
				c.failWith(ErrDown)
				return
			}
			asked[i].Word = word
		}
	}
	c.verdicts(verdicts)
}

// parseVerdict reads an answer of AEGIS.CHECK about one shard.
func parseVerdict(reply []byte) (word string, ok bool) {
	r, err := resp.ReadReply(bufio.NewReader(bytes.NewReader(reply)))
	if err != nil || len(r.Items) != 1 || len(r.Items[0].Items) != 3 {
		return "", false
	}
	return string(r.Items[0].Items[2].Text), true
}

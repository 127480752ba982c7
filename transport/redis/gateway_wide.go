package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Commands about all keys go shard by shard: each shard is counted, listed or emptied
// once, by whoever holds it then, and is asked for again when it moves meanwhile. Node
// by node was the other way: a shard that moves between two nodes' answers is in both of
// them or in neither, and nobody knows. What cannot be reached in the time that commands
// are parked for is an error, never an omission.

// everyShard asks the holders of all shards, this node like the others: each answers when
// the lease that it answered under has been checked, not when the last shard has come. took
// is called with the answers, and says false of one that it does not understand.
func (c *conn) everyShard(verb string, write bool, took func(shardmap.ShardID, resp.Reply) bool) bool {
	if !c.settle() {
		return false
	}
	m := c.srv.backend.Map()
	before := slices.Clone(c.wrote)
	if write {
		c.noteWrites(m)
	}
	tasks := make([]task, m.Layout().Shards)
	for i := range tasks {
		slot, _ := m.Layout().SlotRange(shardmap.ShardID(i))
		tasks[i] = task{command: resp.AppendCommand(nil, verb, strconv.Itoa(i)), slot: slot, write: write}
	}
	replies := c.ask(tasks...)
	if write {
		c.unnoteWrites(replies, before)
	}
	return replies != nil && c.takeAll(replies, write, took)
}

// takeAll hands the replies of shards over, or answers why it cannot.
func (c *conn) takeAll(replies [][]byte, write bool, took func(shardmap.ShardID, resp.Reply) bool) bool {
	var refusal []byte
	refused := 0
	for i, reply := range replies {
		r, err := resp.ReadReply(bufio.NewReader(bytes.NewReader(reply)))
		switch {
		case errorCode(reply) != "":
			refusal = reply
			refused++
		case err != nil || !took(shardmap.ShardID(i), r):
			refusal = replyDown
			refused++
		}
	}
	switch {
	case refused == 0:
		return true
	case write && refused < len(replies):
		// Not the refusal: clients would take it for "nothing was changed".
		c.fail(fmt.Sprintf("ERR only a part of the keys was removed, because %d of %d shards are not served: repeat the command", refused, len(replies)))
	default:
		c.out = append(c.out, refusal...)
	}
	return false
}

// counts are the numbers of keys of all shards; false when it has answered why there
// are none.
func (c *conn) counts() (keys []int64, ok bool) {
	keys = make([]int64, c.srv.backend.Map().Layout().Shards)
	ok = c.everyShard("AEGIS.COUNT", false, func(shard shardmap.ShardID, r resp.Reply) bool {
		keys[shard] = r.Int
		return r.Kind == ':'
	})
	return keys, ok
}

func gatewaySize(c *conn, _ *command, _ [][]byte) {
	keys, ok := c.counts()
	if !ok {
		return
	}
	sum := int64(0)
	for _, n := range keys {
		sum += n
	}
	c.int(sum)
}

func gatewayFlush(c *conn, _ *command, args [][]byte) {
	if !c.flushMode(args) {
		return
	}
	if c.everyShard("AEGIS.FLUSH", true, func(_ shardmap.ShardID, r resp.Reply) bool { return string(r.Text) == "OK" }) {
		c.ok()
	}
}

func gatewayKeys(c *conn, _ *command, args [][]byte) {
	if !c.settle() {
		return
	}
	s := scan{match: args[1]}
	if string(s.match) == "*" {
		s.match = nil
	}
	keys := 0
	for {
		_, found, ok := c.scanOn(&s, scanStep)
		if !ok {
			return
		}
		keys += found
		if s.at == 0 {
			break
		}
	}
	c.lead(resp.AppendArray(nil, keys))
}

// gatewayRandomKey chooses a shard by the number of its keys, and a key near a random
// place of it. Dead keys are counted and not found, so it may have to go on from there,
// around all shards once, before it says that there is none.
func gatewayRandomKey(c *conn, _ *command, _ [][]byte) {
	keys, ok := c.counts()
	if !ok {
		return
	}
	s, before := scan{}, int64(0)
	for shard, n := range keys {
		if before += n; n > 0 && rand.Int64N(before) < n {
			s.at = CursorAt(shardmap.ShardID(shard), rand.Uint64N(Places))
		}
	}
	for rounds := 0; before > 0 && rounds < 2; {
		_, found, ok := c.scanOn(&s, randomStep)
		if !ok {
			return
		}
		if found > 0 {
			c.chooseOf(found)
			return
		}
		if s.at == 0 {
			rounds++
		}
	}
	c.null()
}

// randomStep is how many keys RANDOMKEY looks at.
const randomStep = 16

// chooseOf leaves one of n bulk strings that were appended.
func (c *conn) chooseOf(n int) {
	rest := c.out[c.replyAt:]
	for range rand.IntN(n) {
		rest = rest[resp.ReplyLen(rest):]
	}
	one := bytes.Clone(rest[:resp.ReplyLen(rest)])
	c.out = append(c.out[:c.replyAt], one...)
}

// shardArg reads the number of a shard.
func (c *conn) shardArg(word []byte) (shardmap.ShardID, bool) {
	n, ok := parseInt(word)
	if !ok || n < 0 || n >= int64(c.srv.backend.Map().Layout().Shards) {
		c.fail(errInteger)
		return 0, false
	}
	return shardmap.ShardID(n), true
}

// cmdCount is AEGIS.COUNT shard: how many keys it has.
func cmdCount(c *conn, args [][]byte) {
	shard, ok := c.shardArg(args[1])
	if !ok {
		return
	}
	var n int64
	if err := c.retry(func() (err error) { n, err = c.srv.backend.Count(&c.sess, shard); return err }); err != nil {
		c.failWith(err)
		return
	}
	c.int(n)
}

// cmdFlushShard is AEGIS.FLUSH shard.
func cmdFlushShard(c *conn, args [][]byte) {
	shard, ok := c.shardArg(args[1])
	if !ok {
		return
	}
	if err := c.retry(func() error { return c.srv.backend.Flush(&c.sess, shard) }); err != nil {
		c.failWith(err)
		return
	}
	c.ok()
}

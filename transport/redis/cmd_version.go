package redis

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// parseVersion reads the version of IFVER and DELIFVER; 0 means that there is no such key.
func (c *conn) parseVersion(arg []byte) (shardmap.Version, bool) {
	n, ok := parseInt(arg)
	if !ok || n < 0 {
		c.fail(errInteger)
		return 0, false
	}
	return shardmap.Version(n), true
}

// hasVersion says whether a key has a version; otherwise it answers the one it has.
// Only within together is that worth anything.
func (c *conn) hasVersion(key []byte, want shardmap.Version) bool {
	if _, ok := c.stat(key); !ok {
		return false
	}
	if c.sess.Version != want {
		c.fail(fmt.Sprintf("VERSION %d", c.sess.Version))
		return false
	}
	return true
}

// setIfVersion is SET with IFVER: it answers the new version.
func (c *conn) setIfVersion() {
	if want, ok := c.parseVersion(c.compare); ok && c.hasVersion(c.op.Key, want) && c.do() {
		c.int(int64(c.sess.Version))
	}
}

// cmdDelIfVersion is DELIFVER key version: it answers the version of the deletion, or
// 0 when the key was to be absent and is.
func cmdDelIfVersion(c *conn, args [][]byte) {
	want, ok := c.parseVersion(args[2])
	if !ok {
		return
	}
	slot := shardmap.SlotOf(args[1])
	c.together(slot, true, func() {
		c.op = Op{Kind: OpDel, Slot: slot, Key: args[1]}
		if c.hasVersion(args[1], want) && c.do() {
			c.int(int64(c.sess.Version))
		}
	})
}

package node

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// beginBackup asks for the copy of a shard.
func beginBackup(c *visitor, shard int) (m BackupShard, refusal string) {
	v, err := c.do("AEGIS.ADMIN", "BACKUP", "begin", fmt.Sprint(shard))
	if err != nil || v.IsError() {
		return m, fmt.Sprint(string(v.Text), err)
	}
	_ = json.Unmarshal(v.Text, &m)
	return m, ""
}

// TestWalksForBackupsAreBounded: two at a time in a node, one of a shard, and what is
// refused holds nothing.
func TestWalksForBackupsAreBounded(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c := visit(t, n.cfg.ClientAddr)
	c.must("SET ready 1")
	first, refusal := beginBackup(c, 0)
	if refusal != "" {
		t.Fatal(refusal)
	}
	if _, refusal = beginBackup(c, 0); !strings.Contains(refusal, "copied by another") {
		t.Errorf("the same shard twice: %s", refusal)
	}
	if _, refusal = beginBackup(c, 1); refusal != "" {
		t.Error(refusal)
	}
	for range 2 { // what was refused is not under way
		if _, refusal = beginBackup(c, 2); !strings.Contains(refusal, "2 shards of this node") {
			t.Errorf("a third walk: %s", refusal)
		}
	}
	c.must("AEGIS.ADMIN BACKUP end " + first.Walk)
	if _, refusal = beginBackup(c, 2); refusal != "" {
		t.Errorf("after the end of one: %s", refusal)
	}
	for _, words := range []string{"next " + first.Walk, "begin 99999", "begin x", "walk 1", "begin"} {
		if v, err := c.do(append([]string{"AEGIS.ADMIN", "BACKUP"}, strings.Fields(words)...)...); err != nil || !v.IsError() {
			t.Errorf("%s: %s, %v", words, v.Text, err)
		}
	}
}

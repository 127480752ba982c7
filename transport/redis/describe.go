package redis

import (
	"maps"
	"slices"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// describe writes one row of COMMAND: ten elements, as clients count them.
func (c *conn) describe(cmd *command) {
	b := resp.AppendArray(c.out, 10)
	b = resp.AppendBulk(b, cmd.name)
	b = resp.AppendInt(b, int64(cmd.arity))
	b = c.appendWords(b, strings.Fields(cmd.flags))
	b = resp.AppendInt(b, int64(cmd.first))
	b = resp.AppendInt(b, int64(cmd.last))
	b = resp.AppendInt(b, int64(cmd.step))
	b = c.appendWords(b, cmd.categories())
	tips := tipsOf[cmd.name]
	b = resp.AppendArray(b, len(tips))
	for _, t := range tips {
		b = resp.AppendBulk(b, t)
	}
	b = c.appendKeySpecs(b, cmd)
	c.out = resp.AppendArray(b, len(cmd.subs))
	for _, name := range slices.Sorted(maps.Keys(cmd.subs)) {
		c.describe(cmd.subs[name])
	}
}

func (c *conn) appendWords(b []byte, words []string) []byte {
	b = resp.AppendSet(b, c.sess.Proto, len(words))
	for _, w := range words {
		b = resp.AppendSimple(b, w)
	}
	return b
}

// categories are the ACL categories that Redis gives a command: by its flags, by what it
// is about, and a few that it is given by name.
func (c *command) categories() (names []string) {
	for _, is := range []struct {
		so   bool
		name string
	}{
		{c.class != "", "@" + c.class},
		{c.has("write"), "@write"},
		{c.has("readonly"), "@read"},
		{c.has("admin") || c.name == "lastsave" || c.name == "role", "@admin"},
		{c.has("admin") || slices.Contains(dangerous, c.name), "@dangerous"},
		{c.has("pubsub"), "@pubsub"},
		{c.has("blocking"), "@blocking"},
		{c.has("fast"), "@fast"},
		{!c.has("fast"), "@slow"},
	} {
		if is.so {
			names = append(names, is.name)
		}
	}
	return names
}

// dangerous are the commands that Redis calls so although they are no operator's.
var dangerous = strings.Fields("flushall flushdb info keys lastsave restore role")

// appendKeySpecs says where the keys of a command stand and what is done to them: one
// specification for all of them, or one each where they are treated differently.
func (c *conn) appendKeySpecs(b []byte, cmd *command) []byte {
	switch {
	case cmd.numkeys > 0:
		b = c.appendKeySpec(resp.AppendArray(b, 1), keyFlags(cmd, nil, 0), cmd.numkeys)
		return c.appendFind(b, "keynum", field{"keynumidx", 0}, field{"firstkey", 1}, field{"keystep", 1})
	case cmd.first == 0:
		return resp.AppendArray(b, 0)
	case cmd.treatsKeysApart():
		b = resp.AppendArray(b, cmd.last-cmd.first+1)
		for i := cmd.first; i <= cmd.last; i++ {
			b = c.appendKeySpec(b, keyFlags(cmd, nil, i-cmd.first), i)
			b = c.appendFind(b, "range", field{"lastkey", 0}, field{"keystep", 1}, field{"limit", 0})
		}
		return b
	}
	flags := keyFlags(cmd, nil, 0)
	if cmd.name == "set" {
		flags = []string{"RW", "access", "update", "variable_flags"} // whatever the options are
	}
	last := cmd.last
	if last > 0 {
		last -= cmd.first
	}
	b = c.appendKeySpec(resp.AppendArray(b, 1), flags, cmd.first)
	return c.appendFind(b, "range", field{"lastkey", last}, field{"keystep", cmd.step}, field{"limit", 0})
}

// treatsKeysApart says that not the same is done to all keys.
func (c *command) treatsKeysApart() bool {
	return c.last > c.first && !slices.Equal(keyFlags(c, nil, 0), keyFlags(c, nil, 1))
}

// appendKeySpec begins a specification; appendFind must follow.
func (c *conn) appendKeySpec(b []byte, flags []string, index int) []byte {
	b = resp.AppendMap(b, c.sess.Proto, 3)
	b = c.appendWords(resp.AppendBulk(b, "flags"), flags)
	b = resp.AppendMap(resp.AppendBulk(b, "begin_search"), c.sess.Proto, 2)
	b = resp.AppendBulk(resp.AppendBulk(b, "type"), "index")
	b = resp.AppendMap(resp.AppendBulk(b, "spec"), c.sess.Proto, 1)
	return resp.AppendInt(resp.AppendBulk(b, "index"), int64(index))
}

type field struct {
	name  string
	value int
}

func (c *conn) appendFind(b []byte, kind string, spec ...field) []byte {
	b = resp.AppendMap(resp.AppendBulk(b, "find_keys"), c.sess.Proto, 2)
	b = resp.AppendBulk(resp.AppendBulk(b, "type"), kind)
	b = resp.AppendMap(resp.AppendBulk(b, "spec"), c.sess.Proto, len(spec))
	for _, f := range spec {
		b = resp.AppendInt(resp.AppendBulk(b, f.name), int64(f.value))
	}
	return b
}

// tipsOf tells clients how to spread a command over nodes and merge the replies.
var tipsOf = map[string][]string{}

func init() {
	for tips, names := range map[string]string{
		"nondeterministic_output": "client|info client|list cluster|count-failure-reports cluster|getkeysinslot cluster|info cluster|links cluster|myshardid cluster|nodes cluster|replicas cluster|shards cluster|slaves cluster|slots " +
			"dump lastsave object|encoding object|freq object|idletime object|refcount pttl time ttl",
		"nondeterministic_output_order":                                             "command command|docs command|info command|list",
		"nondeterministic_output request_policy:all_nodes":                          "slowlog|get",
		"nondeterministic_output request_policy:all_nodes response_policy:agg_sum":  "slowlog|len",
		"nondeterministic_output request_policy:all_nodes response_policy:special":  "latency|doctor latency|graph latency|histogram latency|history latency|latest",
		"nondeterministic_output request_policy:all_shards":                         "cluster|slot-stats",
		"nondeterministic_output request_policy:all_shards response_policy:special": "info memory|doctor memory|malloc-stats memory|stats randomkey",
		"nondeterministic_output request_policy:special response_policy:special":    "scan",
		"request_policy:all_shards nondeterministic_output_order":                   "keys",
		"request_policy:all_nodes response_policy:all_succeeded":                    "client|setinfo config|set latency|reset script|flush script|load slowlog|reset",
		"request_policy:all_shards response_policy:agg_logical_and":                 "script|exists",
		"request_policy:all_shards response_policy:agg_min":                         "wait",
		"request_policy:all_shards response_policy:agg_sum":                         "dbsize",
		"request_policy:all_shards response_policy:all_succeeded":                   "flushall flushdb memory|purge ping",
		"request_policy:all_shards response_policy:one_succeeded":                   "script|kill",
		"request_policy:multi_shard":                                                "mget",
		"request_policy:multi_shard response_policy:agg_sum":                        "del exists touch unlink",
		"request_policy:multi_shard response_policy:all_succeeded":                  "mset",
	} {
		for _, name := range strings.Fields(names) {
			tipsOf[name] = strings.Fields(tips)
		}
	}
}

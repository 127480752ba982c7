package redis

import (
	"bytes"
	"net"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// The gateway port shows the whole cluster as one standalone server, for the many
// clients that do not follow MOVED. A command whose slot this node holds is run here,
// as on the client port; any other is forwarded, byte for byte, to the holder's client
// port, and its reply is copied back. A router in front of the nodes was the other
// way: one more process to run, and one more hop for the keys that are here.

// runAnywhere runs a command of a gateway connection, here or on the node that holds
// its keys.
func (c *conn) runAnywhere(cmd *command, args [][]byte) {
	if word := gatewayWordOf(cmd); word != nil {
		word(c, cmd, args)
		return
	}
	if _, any := cmd.firstKey(args); !any {
		cmd.run(c, args)
		return
	}
	switch slot, one := cmd.slot(args); {
	case one:
		c.runKeyed(cmd, args, slot)
	case fans[cmd.name] != nil:
		c.fanOut(cmd, args)
	default:
		c.fail(errCrossSlot)
	}
}

// runKeyed runs a command on keys of one slot. What this node no longer holds
// although it thought so is forwarded after all: a refusal has changed nothing.
func (c *conn) runKeyed(cmd *command, args [][]byte, slot shardmap.Slot) {
	here, hint := c.here(slot)
	if !cmd.reads {
		c.noteWrite(slot)
	}
	if here {
		cmd.run(c, args)
		if hint = c.takeMoved(); hint == 0 {
			return
		}
	}
	c.forward(cmd, nil, task{command: c.raw(args), slot: slot, write: !cmd.reads, hint: hint})
}

// here reports whether a slot is served here. One map counts for all commands whose
// replies leave together, so that those of one slot take one way and keep their order;
// hint is the way of those that were forwarded against it.
func (c *conn) here(slot shardmap.Slot) (held bool, hint shardmap.NodeID) {
	f := &c.fw
	if f.routes == nil {
		f.routes = c.srv.backend.Map()
	}
	if f.routes.LeaderOf(slot) != c.srv.backend.Self() {
		return false, 0
	}
	if f.strayed {
		for i := range f.tasks {
			if t := &f.tasks[i]; t.slot == slot {
				return false, t.hint
			}
		}
	}
	return true, 0
}

// takeMoved takes a MOVED off the replies and says where it points to, 0 when the
// command was answered otherwise.
func (c *conn) takeMoved() shardmap.NodeID {
	if c.quit || c.rerun || len(c.out) == c.replyAt {
		return 0
	}
	to := movedTo(c.out[c.replyAt:], c.srv.backend.Map())
	if to != 0 {
		c.out = c.out[:c.replyAt]
		c.fw.strayed = true
	}
	return to
}

var movedPrefix = []byte("-MOVED ")

// movedTo reads "-MOVED slot host:port"; 0 when it is no such reply, or of a node that
// the map does not name.
func movedTo(reply []byte, m *shardmap.Map) shardmap.NodeID {
	rest, ok := bytes.CutPrefix(reply, movedPrefix)
	if !ok {
		return 0
	}
	_, addr, _ := strings.Cut(strings.TrimRight(string(rest), "\r\n"), " ")
	for _, n := range m.Nodes() {
		if n.Host+":"+strconv.Itoa(n.Port) == addr {
			return n.ID
		}
	}
	return 0
}

// raw is the command as it came, or as it would come from a client library when it
// was typed inline. It aliases the reader's buffer, like the arguments.
func (c *conn) raw(args [][]byte) []byte {
	if b := c.rd.Raw(c.start); len(b) > 0 && b[0] == '*' {
		return b
	}
	return encode(args...)
}

func encode(args ...[]byte) []byte {
	b := resp.AppendArray(nil, len(args))
	for _, a := range args {
		b = resp.AppendBulk(b, a)
	}
	return b
}

// gatewayWord is how a gateway connection answers a command in place of its run.
type gatewayWord func(c *conn, cmd *command, args [][]byte)

// gatewayWords are the commands that are something else on the gateway port.
var gatewayWords map[string]gatewayWord

// gatewayRefused are commands that the gateway port does not take, with what it says.
var gatewayRefused = map[string]string{
	"client|maint_notifications": "ERR moves of shards are not told on the gateway port, which follows them by itself",
}

func init() {
	off := refuse(errNoCluster)
	gatewayWords = map[string]gatewayWord{
		"readonly": off, "readwrite": off, "asking": off,
		"select":      gatewaySelect,
		"client|capa": func(c *conn, _ *command, _ [][]byte) { c.ok() }, // unknown words are ignored, and here all are
		"wait":        gatewayWait,
		"dbsize":      gatewaySize, "flushall": gatewayFlush, "flushdb": gatewayFlush,
		"keys": gatewayKeys, "randomkey": gatewayRandomKey, "scan": gatewayScan,
		"exec": gatewayExec, "watch": gatewayWatch,
		"client|tracking": gatewayTracking,
		"aegis.token":     gatewayToken,
		"aegis.check":     gatewayCheck,
		"aegis.if":        func(c *conn, cmd *command, args [][]byte) { cmd.run(c, args) }, // it is about this connection
	}
	for name, text := range gatewayRefused {
		gatewayWords[name] = refuse(text)
	}
}

const errNoCluster = "ERR This instance has cluster support disabled"

func gatewayWordOf(cmd *command) gatewayWord {
	if strings.HasPrefix(cmd.name, "cluster") {
		return gatewayWords["readonly"]
	}
	return gatewayWords[cmd.name]
}

func refuse(text string) gatewayWord {
	return func(c *conn, _ *command, _ [][]byte) { c.fail(text) }
}

// gatewaySelect speaks as a standalone server with one database does.
func gatewaySelect(c *conn, _ *command, args [][]byte) {
	n, ok := parseInt(args[1])
	switch {
	case !ok:
		c.fail(errInteger)
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.ok()
	}
}

// mode is what HELLO and INFO say that this server is.
func (c *conn) mode() string {
	if c.gateway() {
		return "standalone"
	}
	return modeCluster
}

// modeCluster is what redis_mode says on the client port.
const modeCluster = "cluster"

func (c *conn) gateway() bool { return c.forwarder != nil }

// standalone rewrites what a client reads as "this is a cluster".
func standalone(sections []InfoSection) {
	for _, s := range sections {
		for i := range s.Fields {
			if f := &s.Fields[i]; f[0] == "cluster_enabled" {
				f[1] = "0"
			}
		}
	}
}

// localPort is the port that the client connected to.
func (c *conn) localPort() string {
	_, port, _ := net.SplitHostPort(c.sess.Local.String())
	return port
}

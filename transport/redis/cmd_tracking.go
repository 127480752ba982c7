package redis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// tracking is what CLIENT TRACKING asked for on a connection.
type tracking struct {
	on, bcast, optIn, optOut, noLoop bool

	redirect *redirect // who hears it instead; nil = the connection itself
	prefixes []string
	turn     int  // how often it was turned on or off
	caching  bool // CLIENT CACHING was said: yes with optIn, no with optOut
	reading  bool // the command under way reads keys that are to be remembered
}

func trackingCommands() map[string]*command {
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "client|" + name, arity: arity, flags: "noscript loading stale", rights: rightsConnection, run: run}
	}
	return map[string]*command{
		"TRACKING":     sub("tracking", -3, cmdTracking),
		"CACHING":      sub("caching", 3, cmdCaching),
		"TRACKINGINFO": sub("trackinginfo", 2, cmdTrackingInfo),
		"GETREDIR": sub("getredir", 2, func(c *conn, _ [][]byte) {
			c.int(c.tracking.redirectID())
		}),
	}
}

// begin decides before a command whether the keys it reads are remembered.
func (t *tracking) begin(c *conn, cmd *command) {
	t.reading = t.on && !t.bcast && cmd.reads && (c.sess.Proto >= 3 || t.redirect != nil) &&
		(!t.optIn || t.caching) && (!t.optOut || !t.caching)
}

// end is behind the reply of a command. What was queued until here goes before the
// reply, unless the command said more exactly when it looked at its key. CLIENT CACHING
// is for the command that follows it.
func (t *tracking) end(c *conn, cmd *command) {
	if c.rerun || c.executing {
		return // a part of EXEC's reply is no place for pushes
	}
	t.reading = false
	if c.tracks() {
		c.pushes.cutHere(c.pushAt())
	}
	if !strings.HasPrefix(cmd.name, "client|") && !c.multi.on { // it is for all of a transaction
		t.caching = false
	}
	c.pushes.answered()
}

const (
	errTrackingMode = "ERR You can't switch %s mode %sbefore disabling tracking for this client, and then re-enabling it with a different mode."
)

// cmdTracking is CLIENT TRACKING, with the checks of Redis in its order.
func cmdTracking(c *conn, args [][]byte) {
	want := tracking{}
	if !c.trackingOptions(&want, args[3:]) {
		return
	}
	switch {
	case is(args[2], "ON"):
		if !c.trackingFits(&want) {
			return
		}
		if err := c.track(want); err != nil {
			c.failWith(err)
			return
		}
	case is(args[2], "OFF"):
		c.untrack()
	default:
		c.fail(errSyntax)
		return
	}
	c.ok()
}

func (c *conn) trackingOptions(want *tracking, opts [][]byte) bool {
	for ; len(opts) > 0; opts = opts[1:] {
		switch o := opts[0]; {
		case is(o, "REDIRECT") && len(opts) > 1:
			if want.redirect != nil {
				c.fail("ERR A client can only redirect to a single other client")
				return false
			}
			if want.redirect = c.redirectTo(opts[1]); want.redirect == nil {
				return false
			}
			opts = opts[1:]
		case is(o, "BCAST"):
			want.bcast = true
		case is(o, "OPTIN"):
			want.optIn = true
		case is(o, "OPTOUT"):
			want.optOut = true
		case is(o, "NOLOOP"):
			want.noLoop = true
		case is(o, "PREFIX") && len(opts) > 1:
			want.prefixes = append(want.prefixes, string(opts[1]))
			opts = opts[1:]
		default:
			c.fail(errSyntax)
			return false
		}
	}
	return true
}

// trackingFits says whether the options go together, and with what is on already.
func (c *conn) trackingFits(want *tracking) bool {
	have := &c.tracking
	switch {
	case len(want.prefixes) > 0 && !want.bcast:
		c.fail("ERR PREFIX option requires BCAST mode to be enabled")
	case have.on && have.bcast != want.bcast:
		c.fail(fmt.Sprintf(errTrackingMode, "BCAST", "on/off "))
	case want.bcast && (want.optIn || want.optOut):
		c.fail("ERR OPTIN and OPTOUT are not compatible with BCAST")
	case want.optIn && want.optOut:
		c.fail("ERR You can't specify both OPTIN mode and OPTOUT mode")
	case want.optIn && have.optOut || want.optOut && have.optIn:
		c.fail(fmt.Sprintf(errTrackingMode, "OPTIN/OPTOUT", ""))
	default:
		return !want.bcast || c.prefixesFit(want.prefixes)
	}
	return false
}

// prefixesFit refuses prefixes of which one begins another: a key would be told twice.
func (c *conn) prefixesFit(add []string) bool {
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range add {
		for _, old := range c.tracking.prefixes {
			if overlap(p, old) {
				c.fail(fmt.Sprintf("ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single client must not overlap.", p, old))
				return false
			}
		}
		for _, next := range add[i+1:] {
			if overlap(p, next) {
				c.fail(fmt.Sprintf("ERR Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client must not overlap.", p, next))
				return false
			}
		}
	}
	return true
}

// track turns tracking on, or changes its options.
func (c *conn) track(want tracking) error {
	if want.bcast && len(want.prefixes) == 0 {
		want.prefixes = []string{""}
	}
	c.pushing()
	c.sendTo(want.redirect)
	c.bcast.Store(want.bcast)
	if err := c.enroll(want.prefixes); err != nil {
		return err
	}
	want.on, want.turn = true, c.tracking.turn+1
	want.prefixes = slices.Concat(c.tracking.prefixes, want.prefixes)
	want.caching = c.tracking.caching
	c.tracking = want
	return nil
}

// tracks says whether what the connection reads is remembered. On the gateway port it is
// given back instead, see givenBack.
func (c *conn) tracks() bool { return c.tracking.on && !c.gateway() }

// enroll lets the connection hear of changes from here on.
func (c *conn) enroll(prefixes []string) error {
	if c.gateway() {
		return nil
	}
	if err := c.srv.tracker.join(c, prefixes); err != nil {
		return err
	}
	c.sess.Seen = c.seen
	return nil
}

func (c *conn) untrack() {
	if c.tracking.on {
		c.srv.tracker.leave(c)
	}
	c.tracking = tracking{turn: c.tracking.turn + 1}
	c.sendTo(nil)
	c.sess.Seen = nil
}

// retrack goes back to how tracking was before the commands that are run again.
func (c *conn) retrack(was tracking) {
	if was.turn == c.tracking.turn {
		c.tracking = was // CLIENT CACHING may have been said
		return
	}
	c.untrack()
	if was.on && c.enroll(was.prefixes) == nil {
		c.sendTo(was.redirect)
		c.bcast.Store(was.bcast)
		c.tracking = was
	}
}

// seen notes, in the hold of its shard, that the command under way has read a key. The
// place of the reply among the pushes is fixed first: what is taken back for this key
// to have room must follow it.
func (c *conn) seen(shard shardmap.ShardID, key []byte) {
	c.pushes.cutHere(c.pushAt())
	if c.tracking.reading {
		c.srv.tracker.remember(shard, key, c.sess.ID)
	}
}

func cmdCaching(c *conn, args [][]byte) {
	t := &c.tracking
	switch {
	case !t.on:
		c.fail("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
		return
	case is(args[2], "YES") && !t.optIn:
		c.fail("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
		return
	case is(args[2], "NO") && !t.optOut:
		c.fail("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
		return
	case !is(args[2], "YES") && !is(args[2], "NO"):
		c.fail(errSyntax)
		return
	}
	t.caching = true
	c.ok()
}

func cmdTrackingInfo(c *conn, _ [][]byte) {
	flags := c.tracking.flags()
	b := resp.AppendMap(c.out, c.sess.Proto, 3)
	b = resp.AppendSet(resp.AppendBulk(b, "flags"), c.sess.Proto, len(flags))
	for _, f := range flags {
		b = resp.AppendBulk(b, f)
	}
	b = resp.AppendInt(resp.AppendBulk(b, "redirect"), c.tracking.redirectID())
	b = resp.AppendArray(resp.AppendBulk(b, "prefixes"), len(c.tracking.prefixes))
	for _, p := range c.tracking.prefixes {
		b = resp.AppendBulk(b, p)
	}
	c.out = b
}

// redirectID is as Redis tells it: 0 for the connection itself, -1 without tracking.
func (t *tracking) redirectID() int64 {
	switch {
	case !t.on:
		return -1
	case t.redirect == nil:
		return 0
	}
	return t.redirect.to.sess.ID
}

func (t *tracking) flags() []string {
	if !t.on {
		return []string{"off"}
	}
	flags := []string{"on"}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{t.bcast, "bcast"},
		{t.optIn, "optin"},
		{t.optIn && t.caching, "caching-yes"},
		{t.optOut, "optout"},
		{t.optOut && t.caching, "caching-no"},
		{t.noLoop, "noloop"},
		{t.redirect != nil && t.redirect.broken.Load(), "broken_redirect"},
	} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	return flags
}

package redis

import "github.com/baxromumarov/aegisKV/transport/resp"

// latencyCommand is LATENCY: how long commands took is known, and single events, which
// Redis keeps for its forks, fsyncs and expirations, are not kept.
func latencyCommand() *command {
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "latency|" + name, arity: arity, flags: "admin noscript loading stale", rights: rightsAdmin, wide: true, run: run}
	}
	none := func(c *conn, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }
	return &command{
		name: "latency", arity: -2, rights: rightsAdmin, summary: "A container for latency diagnostics commands.",
		subs: map[string]*command{
			"HISTOGRAM": sub("histogram", -2, cmdLatencyHistogram),
			"LATEST":    sub("latest", 2, none),
			"HISTORY":   sub("history", 3, none),
			"GRAPH": sub("graph", 3, func(c *conn, a [][]byte) {
				c.fail("ERR No samples available for event '" + untilNUL(a[2]) + "'")
			}),
			"RESET": sub("reset", -2, func(c *conn, _ [][]byte) { c.int(0) }),
			"DOCTOR": sub("doctor", 2, func(c *conn, _ [][]byte) {
				c.out = resp.AppendVerbatim(c.out, c.sess.Proto, "No latency events are kept. LATENCY HISTOGRAM and INFO latencystats show how long commands took, SLOWLOG GET the pipelines that took long.")
			}),
			"HELP": sub("help", 2, func(c *conn, _ [][]byte) {
				c.help("LATENCY", "HISTOGRAM [command ...] -- how many calls took up to so many microseconds; commands of one kind that stand together in a pipeline are counted with their mean", "LATEST, HISTORY event -- empty: no events are kept", "GRAPH event -- an error: there is nothing to draw", "RESET [event ...] -- 0: there are none to forget; CONFIG RESETSTAT empties the histograms", "DOCTOR -- says where to look")
			}),
		},
	}
}

// cmdLatencyHistogram shows the commands that were used, or those that are named and their
// subcommands; names that are none are passed over.
func cmdLatencyHistogram(c *conn, args [][]byte) {
	t := c.srv.table
	var names []string
	for _, a := range args[2:] {
		if cmd := t.findAny(string(a)); cmd != nil {
			names = append(names, t.withSubs(cmd)...)
		}
	}
	if len(args) == 2 {
		names = t.everyName()
	}
	shown := 0
	for _, name := range names {
		cmd := t.findAny(name)
		if h := cmd.times.Load(); h != nil {
			c.out = resp.AppendBulk(c.out, name)
			c.histogram(h)
			shown++
		}
	}
	c.lead(resp.AppendMap(nil, c.sess.Proto, shown))
}

func (c *conn) histogram(h *histogram) {
	steps, total := h.doublings()
	b := resp.AppendMap(c.out, c.sess.Proto, 2)
	b = resp.AppendInt(resp.AppendBulk(b, "calls"), total)
	b = resp.AppendMap(resp.AppendBulk(b, "histogram_usec"), c.sess.Proto, len(steps))
	for _, s := range steps {
		b = resp.AppendInt(resp.AppendInt(b, s.micros), s.calls)
	}
	c.out = b
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// asker puts commands to the node that answers for their key and notes what each
// step took. pkg/client was the other way: it hides the steps, which is its task, and
// keeps connections and loops that a program of one command has no use for.
type asker struct {
	seeds   []string
	timeout time.Duration
	links   map[string]*link
	route   route
	trace   trace
}

// link is a connection to one node.
type link struct {
	net.Conn
	read *bufio.Reader
}

// route is the map as a node told it.
type route struct {
	known  bool
	epoch  uint64
	shards int // 0 = the server is not ours
	spans  []load.Span
}

// declareAddr gives a command the flags that say which nodes it speaks to.
func declareAddr(f *pflag.FlagSet, addr *string) {
	f.StringVar(addr, "addr", "", "client addresses of any nodes, comma-separated (default localhost:7000) ["+node.ToolVariable+"]")
	f.StringVar(addr, "seeds", "", "the same as --addr")
}

// addresses reads --addr; what the flag does not say the environment may.
func addresses(addr string) (list []string, err error) {
	if addr == "" {
		addr = os.Getenv(node.ToolVariable)
	}
	if addr == "" {
		addr = "localhost:7000"
	}
	for s := range strings.SplitSeq(addr, ",") {
		s = strings.TrimSpace(s)
		if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
			return nil, usageError("%q is no client address: give host:port of any node, like --addr localhost:7000", s)
		}
		list = append(list, s)
	}
	return list, nil
}

func newAsker(addr string, timeout time.Duration) (*asker, error) {
	seeds, err := addresses(addr)
	return &asker{seeds: seeds, timeout: timeout, links: map[string]*link{}}, err
}

func (a *asker) close() {
	for _, l := range a.links {
		_ = l.Close()
	}
}

// question is a command on one key.
type question struct {
	key    string
	words  []string
	writes bool
}

// retryPause is how long a refusal that may pass is left alone.
const retryPause = 20 * time.Millisecond

// ask gives the answer of the node that serves the key. What was certainly not applied
// is asked again until the time is over; a write whose answer did not come is not.
func (a *asker) ask(q question) (resp.Reply, error) {
	slot := shardmap.SlotOfString(q.key)
	a.trace.Slot = slot
	until := time.Now().Add(a.timeout)
	addr := ""
	for {
		a.trace.Attempts++
		r, sent, err := a.once(slot, &addr, q, until)
		if err == nil {
			return r, nil
		}
		switch {
		case a.trace.Attempts == 1 && a.unreached(err):
			return r, err // nobody is there: waiting would only hide it
		case sent && q.writes && !refused(err):
			return r, &exitError{exitUnknown, fmt.Sprintf("%s %s: %s took it and did not answer (%v): it may have been applied or not; read the key before you try again", q.words[0], q.key, addr, err)}
		case !passes(err, sent):
			return r, err
		case time.Now().Add(retryPause).After(until):
			return r, &exitError{exitUnreachable, fmt.Sprintf("%s %s: nobody served it within %v: %v; `aegis status` shows who serves what", q.words[0], q.key, a.timeout, err)}
		}
		if to, ok := moved(err); ok {
			addr = to
			continue
		}
		time.Sleep(retryPause)
		addr, a.route.known = "", false
	}
}

// unreached says that no seed gave a map.
func (a *asker) unreached(err error) bool {
	var away *unreachedError
	return !a.route.known && errors.As(err, &away)
}

// once asks once: at *addr, or where the map says. sent says that the words have left.
func (a *asker) once(slot shardmap.Slot, addr *string, q question, until time.Time) (r resp.Reply, sent bool, err error) {
	if *addr == "" {
		if *addr, err = a.holder(slot, until); err != nil {
			return r, false, err
		}
	}
	l, err := a.link(*addr, until)
	if err != nil {
		return r, false, err
	}
	_ = l.SetDeadline(until)
	begun := time.Now()
	if _, err = l.Write(resp.AppendCommand(nil, q.words...)); err == nil {
		r, err = a.answer(l)
	}
	if err == nil && r.IsError() {
		err = serverError(r)
	}
	a.trace.hop("request", *addr, begun, err)
	if err != nil && !r.IsError() {
		delete(a.links, *addr)
		_ = l.Close()
	}
	return r, true, err
}

// answer is the next reply that is no push; what a node tells beside it goes to the trace.
func (a *asker) answer(l *link) (resp.Reply, error) {
	for {
		r, err := resp.ReadValue(l.read, nil)
		switch {
		case err != nil, r.Kind != '|' && r.Kind != '>':
			return r, err
		case r.Kind == '|':
			a.trace.told(r)
		}
	}
}

// holder is the address that the map names for a slot.
func (a *asker) holder(slot shardmap.Slot, until time.Time) (string, error) {
	if !a.route.known {
		if err := a.readMap(until); err != nil {
			return "", err
		}
	}
	if a.route.shards > 0 {
		a.trace.Shard = int(slot) * a.route.shards / shardmap.Slots
	}
	a.trace.MapEpoch = a.route.epoch
	for _, s := range a.route.spans {
		if slot >= s.First && slot <= s.Last {
			return s.Addr, nil
		}
	}
	return "", serverError(resp.Reply{Kind: '-', Text: []byte("CLUSTERDOWN no node is named for the slot")})
}

// readMap asks the seeds in turn who serves what.
func (a *asker) readMap(until time.Time) (err error) {
	for _, s := range a.seeds {
		var l *link
		if l, err = a.link(s, until); err != nil {
			continue
		}
		begun := time.Now()
		_ = l.SetDeadline(until)
		a.route, err = l.readMap(s)
		a.trace.hop("map", s, begun, err)
		if err == nil {
			return nil
		}
		delete(a.links, s)
		_ = l.Close()
	}
	var away *unreachedError
	if errors.As(err, &away) {
		err = away.err // its address is one of those that are named here
	}
	return &unreachedError{strings.Join(a.seeds, ", "), err}
}

func (l *link) readMap(asked string) (route, error) {
	out := resp.AppendCommand(nil, "CLUSTER", "INFO")
	out = resp.AppendCommand(out, "CLUSTER", "SLOTS")
	out = resp.AppendCommand(out, "CONFIG", "GET", "num-shards")
	if _, err := l.Write(out); err != nil {
		return route{}, err
	}
	var answers [3]resp.Reply
	for i := range answers {
		var err error
		if answers[i], err = resp.ReadReply(l.read); err != nil {
			return route{}, err
		}
	}
	r := route{known: true, epoch: epochOf(answers[0].Text)}
	if c := answers[2]; len(c.Items) == 2 {
		r.shards, _ = strconv.Atoi(string(c.Items[1].Text))
	}
	var err error
	r.spans, err = load.ParseSlots(answers[1], asked)
	return r, err
}

func epochOf(info []byte) uint64 {
	_, rest, _ := strings.Cut(string(info), "cluster_current_epoch:")
	digits, _, _ := strings.Cut(rest, "\r")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// link connects to a node, once.
func (a *asker) link(addr string, until time.Time) (*link, error) {
	if l := a.links[addr]; l != nil {
		return l, nil
	}
	begun := time.Now()
	l, err := a.dial(addr, until)
	a.trace.hop("connect", addr, begun, err)
	if err != nil {
		return nil, &unreachedError{addr, err}
	}
	a.links[addr] = l
	return l, nil
}

// dial connects; for a trace it asks the node to tell epoch and version beside each reply.
// Other servers refuse that, and are asked all the same.
func (a *asker) dial(addr string, until time.Time) (*link, error) {
	d := net.Dialer{Timeout: min(time.Second, time.Until(until))}
	c, err := d.Dial("tcp", addr)
	if err != nil || !a.trace.on {
		return &link{c, bufio.NewReader(c)}, err
	}
	l := &link{c, bufio.NewReader(c)}
	_ = c.SetDeadline(until)
	_, err = c.Write(resp.AppendCommand(resp.AppendCommand(nil, "HELLO", "3"), "CLIENT", "CAPA", "aegis"))
	for range 2 {
		if err == nil {
			_, err = resp.ReadReply(l.read)
		}
	}
	return l, err
}

// unreachedError says that nothing was sent.
type unreachedError struct {
	addr string
	err  error
}

func (e *unreachedError) Error() string {
	return fmt.Sprintf("no node answers at %s: %v", e.addr, e.err)
}

// serverError makes an error of an error reply, in the words of the Go client.
func serverError(r resp.Reply) *client.ServerError {
	code, _, _ := strings.Cut(string(r.Text), " ")
	return &client.ServerError{Code: code, Text: string(r.Text)}
}

// refused says that a node answered, with a refusal.
func refused(err error) bool {
	var e *client.ServerError
	return errors.As(err, &e)
}

// passes says whether a failure is worth another try: nothing was applied, and it may
// be over in a moment.
func passes(err error, sent bool) bool {
	var e *client.ServerError
	if !errors.As(err, &e) {
		return true // a broken connection; a write that had left was judged before
	}
	return e.Code == "MOVED" || !sent || e.Code != "OOM" && errors.Is(e, client.ErrUnavailable)
}

// moved is where a MOVED answer points.
func moved(err error) (string, bool) {
	var e *client.ServerError
	if !errors.As(err, &e) {
		return "", false
	}
	return load.ParseMoved(e.Text)
}

package suite

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// hand puts operations to a cluster and is told their outcome.
type hand interface {
	// do carries out what o asks and fills in what was told; Start and End are the caller's.
	do(o *chaos.Told)
	// many reads keys of one slot by one command.
	many(os []*chaos.Told)
	close()
}

// plainHand is a client of the simplest kind: it knows which node to ask from what nodes
// answered before, and asks another one when told to. With a table it asks for all slots
// at once, as cluster clients do, and again when the table was wrong; with pipes it shares
// its connections with others.
type plainHand struct {
	addrs    []string
	level    string
	follower bool // reads go to any node, which may answer from its copy
	table    bool
	pipes    *pipes // nil: lines of its own
	rng      *rand.Rand
	lines    map[string]*line
	where    map[shardmap.Slot]string
}

// How long a plain hand waits for a reply, and goes on trying for one that is not refused.
const (
	replyMax = 400 * time.Millisecond
	tryMax   = time.Second
	tryPause = 5 * time.Millisecond
)

func newPlainHand(addrs []string, level string, follower bool, seed uint64) *plainHand {
	return &plainHand{
		addrs: addrs, level: level, follower: follower, rng: rand.New(rand.NewPCG(seed, 3)),
		lines: map[string]*line{}, where: map[shardmap.Slot]string{},
	}
}

func (h *plainHand) close() {
	for _, l := range h.lines {
		_ = l.Close()
	}
}

// words is the command of an operation.
func words(o *chaos.Told) []string {
	switch o.Kind {
	case chaos.Read:
		return []string{"GET", o.Key}
	case chaos.Del:
		return []string{"DEL", o.Key}
	case chaos.Incr:
		return []string{"INCR", o.Key}
	}
	w := []string{"SET", o.Key, string(o.Arg)}
	if o.Deadline != 0 {
		w = append(w, "PXAT", strconv.FormatInt(o.Deadline, 10))
	}
	if o.If {
		w = append(w, "IFVER", strconv.FormatUint(uint64(o.IfIs), 10))
	}
	return w
}

func (h *plainHand) do(o *chaos.Told) {
	a, ok := h.ask(o, words(o))
	if ok {
		fill(o, &a)
	}
}

func (h *plainHand) many(os []*chaos.Told) {
	w := []string{"MGET"}
	for _, o := range os {
		w = append(w, o.Key)
	}
	a, ok := h.ask(os[0], w)
	fillMany(os, &a, ok)
}

// fillMany takes the reply to one command that read several keys, if there was one.
func fillMany(os []*chaos.Told, a *said, ok bool) {
	for i, o := range os {
		o.Outcome, o.Word, o.Node = os[0].Outcome, os[0].Word, os[0].Node
		if ok && len(a.Items) == len(os) && len(a.versions) == len(os) && !a.Items[i].IsNull() {
			o.Found, o.Value, o.Version = true, a.Items[i].Text, a.versions[i]
		}
	}
}

// fill takes the reply to an operation.
func fill(o *chaos.Told, a *said) {
	o.Version = a.version()
	switch o.Kind {
	case chaos.Read:
		if o.Found = !a.IsNull(); o.Found {
			o.Value = a.Text
		} else {
			o.Version = 0
		}
	case chaos.Del:
		o.Found = a.Int == 1
	case chaos.Incr:
		o.Int = a.Int
	case chaos.Set:
		if o.If {
			o.Version = shardmap.Version(a.Int)
		}
	}
}

// ask puts a command to whoever serves the key; false when it was not answered, and then
// the operation says what is known.
func (h *plainHand) ask(o *chaos.Told, w []string) (said, bool) {
	slot := shardmap.SlotOfString(o.Key)
	for end := time.Now().Add(tryMax); ; {
		addr := h.where[slot]
		if addr == "" && h.table {
			h.load()
			addr = h.where[slot]
		}
		if addr == "" || h.follower {
			addr = h.addrs[h.rng.IntN(len(h.addrs))]
		}
		a, err := h.send(addr, w)
		o.Node, o.Outcome, o.Word = addr, chaos.Refused, ""
		switch {
		case errors.Is(err, errNotSent):
			o.Word = "not sent"
			delete(h.where, slot)
		case err != nil:
			o.Outcome, o.Word = chaos.Unknown, "no reply"
			delete(h.where, slot)
			return a, false
		case !a.IsError():
			o.Outcome, h.where[slot] = chaos.OK, addr
			return a, true
		default:
			o.Word = word(a.Reply)
			if to, ok := moved(a.Reply); ok && to != addr && !h.follower {
				h.forget()
				h.where[slot] = to
				if time.Now().Before(end) {
					continue
				}
			}
			if o.Word == "VERSION" || o.Word == "UNBLOCKED" {
				return a, false
			}
			delete(h.where, slot)
		}
		if time.Now().After(end) {
			return a, false
		}
		time.Sleep(tryPause)
	}
}

// forget drops the whole table, when one row of it was wrong.
func (h *plainHand) forget() {
	if h.table {
		clear(h.where)
	}
}

// load asks any node who serves which slots.
func (h *plainHand) load() {
	a, err := h.send(h.addrs[h.rng.IntN(len(h.addrs))], []string{"CLUSTER", "SLOTS"})
	if err != nil {
		return
	}
	for _, span := range a.Items {
		if len(span.Items) < 3 || len(span.Items[2].Items) < 2 {
			continue
		}
		at := span.Items[2].Items
		addr := net.JoinHostPort(string(at[0].Text), strconv.FormatInt(at[1].Int, 10))
		for s := span.Items[0].Int; s <= span.Items[1].Int; s++ {
			h.where[shardmap.Slot(s)] = addr
		}
	}
}

// send sends a command by the line to a node, which it opens when there is none.
func (h *plainHand) send(addr string, w []string) (said, error) {
	if h.pipes != nil {
		return h.pipes.do(addr, h.level, w)
	}
	l := h.lines[addr]
	if l == nil {
		var err error
		if l, err = dial(addr, h.level, h.follower); err != nil {
			return said{}, errors.Join(errNotSent, err)
		}
		h.lines[addr] = l
	}
	a, err := l.do(replyMax, w...)
	if err != nil {
		_ = l.Close()
		delete(h.lines, addr)
	}
	return a, err
}

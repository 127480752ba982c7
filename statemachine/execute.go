package statemachine

import (
	"math"
	"slices"
	"strconv"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Execute runs one command at the leaseholder, between Begin and End one of a
// transaction: it decides, changes the state and fills res.Record with the
// after-image, under version v and shard time now. When nothing changed (a condition did not hold, a missing key was deleted) or an
// error is returned, v is not used and may be given to the next command. T rises
// to now only with a change.
func (m *Machine) Execute(c *Command, v shardmap.Version, now int64, res *Result) error {
	now = max(now, m.time)
	res.Changed, res.Existed, res.Int = false, false, 0
	res.Value = res.Value[:0]
	if len(c.Key) > KeyBytesMax {
		return ErrKeyTooLarge
	}
	if int64(len(c.Value)) > m.ValueBytesMax() {
		return ErrTooLarge
	}
	if m.txn.open && m.full(c) {
		return ErrTxnTooLarge
	}
	x := execution{m: m, c: c, res: res, v: v, now: now, hash: m.Hash(c.Key)}
	m.origin = c.Origin
	err := x.run()
	m.origin = 0 // what is evicted for its sake, nobody asked for
	if err != nil {
		return err
	}
	if res.Changed {
		m.time = now
		if m.txn.open {
			m.txn.add(c, &res.Record)
			return nil
		}
		m.position = v
		m.shrink(&res.Record)
	}
	return nil
}

// execution is one command under way.
type execution struct {
	m    *Machine
	c    *Command
	res  *Result
	v    shardmap.Version
	now  int64
	hash uint64

	old         []byte // aliases the store; nil when the key is not alive
	oldVersion  shardmap.Version
	oldDeadline int64
	overDead    bool // the store has the key, dead and not swept
}

func (x *execution) run() error {
	if x.c.Kind == Flush {
		x.begin(OpFlush)
		x.m.flush()
		return nil
	}
	var e lru.Entry
	var ok bool
	if x.c.Quiet {
		e, ok = x.m.store.Peek(x.hash, x.c.Key)
	} else {
		e, ok = x.m.store.Get(x.hash, x.c.Key)
	}
	if x.overDead = ok && dead(e.Deadline, x.now); ok && !x.overDead {
		x.res.Existed = true
		x.old, x.oldVersion, x.oldDeadline = e.Value, shardmap.Version(e.Version), e.Deadline
	}
	switch x.c.Kind {
	case Set:
		x.set()
	case Del:
		x.del()
	case GetDel:
		x.answerOld()
		x.del()
	case GetEx:
		x.answerOld()
		x.getEx()
	case Append:
		return x.append()
	case IncrBy:
		return x.incrBy()
	case SetRange:
		return x.setRange()
	case IncrByFloat:
		return x.incrByFloat()
	case Expire:
		x.expire()
	case Persist:
		x.persist()
	}
	return nil
}

// begin starts the record of a change.
func (x *execution) begin(op Op) *Record {
	r := &x.res.Record
	*r = Record{Version: x.v, Prev: x.m.position, Op: op, Evicted: r.Evicted[:0], Protected: r.Protected[:0]}
	if op != OpFlush {
		r.Key = x.c.Key
	}
	x.res.Changed = true
	x.res.Int = 1
	return r
}

func (x *execution) answerOld() {
	if x.res.Existed {
		x.res.Value = append(x.res.Value, x.old...)
	}
}

func (x *execution) set() {
	if x.c.WithOld {
		x.answerOld()
	}
	if (x.c.Cond == NX && x.res.Existed) || (x.c.Cond == XX && !x.res.Existed) {
		return
	}
	x.store(x.c.Value, x.deadline())
}

// store makes the key hold value, which must not alias the store.
func (x *execution) store(value []byte, deadline int64) {
	if x.overDead {
		x.m.gone.note(x.hash) // there will be nothing to sweep
	}
	r := x.begin(OpSet)
	r.Value, r.Deadline = value, deadline
	x.m.put(lru.Entry{Hash: x.hash, Version: uint64(x.v), Deadline: deadline, Key: x.c.Key, Value: value})
}

func (x *execution) del() {
	if !x.res.Existed {
		return
	}
	x.begin(OpDel)
	x.m.drop(x.hash, x.c.Key)
}

// deadline is the one the command asks for. A time too far away to be counted is
// the farthest there is, and one before the beginning the first (0 is no deadline).
func (x *execution) deadline() int64 {
	switch x.c.TTLMode {
	case TTLKeep:
		return x.oldDeadline
	case TTLRelative:
		if x.c.TTL > math.MaxInt64-x.now {
			return math.MaxInt64
		}
		return max(1, x.now+x.c.TTL)
	case TTLAbsolute:
		return max(1, x.c.TTL)
	}
	return 0
}

// setDeadline changes only the deadline; one that has passed removes the key.
func (x *execution) setDeadline(deadline int64) {
	if dead(deadline, x.now) {
		x.del()
		return
	}
	r := x.begin(OpMeta)
	r.KeyVersion, r.Deadline = x.oldVersion, deadline
	x.m.meta(x.hash, x.c.Key, x.v, deadline)
}

func (x *execution) getEx() {
	if !x.res.Existed || x.c.TTLMode == TTLKeep {
		return
	}
	if d := x.deadline(); d != x.oldDeadline {
		x.setDeadline(d)
	}
}

func (x *execution) expire() {
	if !x.res.Existed {
		return
	}
	d := x.deadline()
	had := x.oldDeadline != 0
	switch x.c.Cond {
	case NX:
		if had {
			return
		}
	case XX:
		if !had {
			return
		}
	case GT:
		if !had || d <= x.oldDeadline {
			return
		}
	case LTX:
		if !had || d >= x.oldDeadline {
			return
		}
	case LT:
		if had && d >= x.oldDeadline {
			return
		}
	}
	x.setDeadline(d)
}

func (x *execution) persist() {
	if x.res.Existed && x.oldDeadline != 0 {
		x.setDeadline(0)
	}
}

func (x *execution) append() error {
	n := int64(len(x.old)) + int64(len(x.c.Value))
	if n > x.m.ValueBytesMax() {
		return ErrTooLarge
	}
	x.m.scratch = append(append(x.m.scratch[:0], x.old...), x.c.Value...)
	x.store(x.m.scratch, x.oldDeadline)
	x.res.Int = n
	x.m.trimScratch()
	return nil
}

// setRange writes over a part of the value; what lies between its end and the first
// byte becomes zeros. No bytes change nothing, not even a missing key.
func (x *execution) setRange() error {
	x.res.Int = int64(len(x.old))
	if len(x.c.Value) == 0 {
		return nil
	}
	end := x.c.Delta + int64(len(x.c.Value))
	if x.c.Delta < 0 || end > x.m.ValueBytesMax() || end < 0 {
		return ErrTooLarge
	}
	n := max(len(x.old), int(end))
	b := append(slices.Grow(x.m.scratch[:0], n), x.old...)[:n]
	clear(b[len(x.old):])
	copy(b[x.c.Delta:], x.c.Value)
	x.m.scratch = b
	x.store(b, x.oldDeadline)
	x.res.Int = int64(n)
	x.m.trimScratch()
	return nil
}

func (x *execution) incrByFloat() error {
	old := x.old
	if !x.res.Existed {
		old = zero
	}
	b, err := addFloat(x.m.scratch[:0], old, x.c.Value)
	if err != nil {
		return err
	}
	x.m.scratch = b
	x.store(b, x.oldDeadline)
	x.res.Value = append(x.res.Value, b...)
	return nil
}

func (x *execution) incrBy() error {
	var n int64
	if x.res.Existed {
		var ok bool
		if n, ok = parseInt(x.old); !ok {
			return ErrNotInteger
		}
	}
	d := x.c.Delta
	if (d > 0 && n > math.MaxInt64-d) || (d < 0 && n < math.MinInt64-d) {
		return ErrOverflow
	}
	n += d
	x.m.scratch = strconv.AppendInt(x.m.scratch[:0], n, 10)
	x.store(x.m.scratch, x.oldDeadline)
	x.res.Int = n
	return nil
}

// parseInt takes exactly what Redis takes: an int64 in canonical decimal form.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || (digits[0] == '0' && len(b) > 1) {
		return 0, false
	}
	limit := uint64(math.MaxInt64)
	if b[0] == '-' {
		limit++
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (limit-uint64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if b[0] == '-' {
		return -int64(n), true
	}
	return int64(n), true
}

// trimScratch lets go of a scratch that one large value blew up. The record
// under way keeps the memory alive until it is encoded.
func (m *Machine) trimScratch() {
	if cap(m.scratch) > 64<<10 {
		m.scratch = nil
	}
}

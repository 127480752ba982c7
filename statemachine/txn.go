package statemachine

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// txn is a transaction under way at the leaseholder: its commands share one version
// and become one record, so that a cut takes all of them or none. There is nothing to
// roll back: like Redis, a command that fails leaves what the others did.
type txn struct {
	open    bool
	version shardmap.Version
	parts   []byte // encoded records
	grown   int64  // by how much they are longer than what the commands brought
}

// txnGrowthMin is what a transaction's record may be longer than its commands in any
// store. What they brought is bounded where they wait; but a few bytes appended again
// and again to a long value are a long record each time. It is more than the heads of
// as many records as one command has arguments.
const txnGrowthMin = 64 << 20

// txnBytesMax is how long a transaction's record may get by one more command; the first
// may be any. A record must fit into one message between nodes, which is longer.
const txnBytesMax = 64 << 20

// full says that a command has no room in the record of the transaction under way.
func (m *Machine) full(c *Command) bool {
	t := &m.txn
	n := len(t.parts) + len(c.Key) + len(c.Value)
	if c.Kind == Append || c.Kind == SetRange {
		e, _ := m.store.Peek(m.Hash(c.Key), c.Key)
		n += len(e.Value)
	}
	return t.grown > max(txnGrowthMin, m.budget) || len(t.parts) > 0 && n > txnBytesMax
}

// add takes the record of a command.
func (t *txn) add(c *Command, r *Record) {
	before := len(t.parts)
	t.parts = AppendRecord(t.parts, r)
	t.grown += int64(len(t.parts) - before - len(c.Key) - len(c.Value))
}

// Begin lets the commands up to End be one transaction of version v. The caller holds
// the shard's mutex all the while: nobody sees a part of it.
func (m *Machine) Begin(v shardmap.Version) {
	m.txn = txn{open: true, version: v, parts: m.txn.parts[:0]}
}

// End closes the transaction and fills r with its record; false when it changed
// nothing and its version is free. r.Value is valid until the next Begin.
func (m *Machine) End(r *Record) bool {
	m.txn.open = false
	if len(m.txn.parts) == 0 {
		return false
	}
	*r = Record{Version: m.txn.version, Prev: m.position, Op: OpTxn, Value: m.txn.parts, Evicted: r.Evicted[:0], Protected: r.Protected[:0]}
	m.position = m.txn.version
	m.shrink(r)
	if cap(m.txn.parts) > 64<<10 {
		m.txn.parts = nil // r keeps it until it is encoded
	}
	return true
}

// Parts calls visit for every change of a record: itself, or the parts of a
// transaction, which are decoded into part. Bytes that are no parts are ErrBadRecord.
func Parts(r, part *Record, visit func(*Record)) error {
	if r.Op != OpTxn {
		visit(r)
		return nil
	}
	for b := r.Value; len(b) > 0; {
		n, err := DecodeRecord(b, part)
		if err != nil {
			return err
		}
		if part.Op > OpMeta || part.Version != r.Version || len(part.Evicted)+len(part.Protected) > 0 {
			return ErrBadRecord
		}
		visit(part)
		b = b[n:]
	}
	return nil
}

// applyTxn plays a transaction whole or not at all.
func (m *Machine) applyTxn(r *Record, filling bool) error {
	if err := Parts(r, &m.part, func(*Record) {}); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var failed error
	_ = Parts(r, &m.part, func(p *Record) {
		if err := m.applyPart(p, filling); err != nil && failed == nil {
			failed = err
		}
	})
	return failed
}

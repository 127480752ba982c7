package shardgroup

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

var opWords = map[statemachine.Op]string{
	statemachine.OpSet: "set", statemachine.OpDel: "del", statemachine.OpMeta: "deadline",
	statemachine.OpFlush: "flush", statemachine.OpEvict: "evict", statemachine.OpTxn: "transaction",
}

// DescribeFrame is one line about a frame of a log, for people.
func DescribeFrame(f *wal.Frame) string {
	r := reader{b: f.Payload}
	switch f.Kind {
	case logRecord:
		return describeRecord(f.Payload)
	case logCopy:
		id, whole := r.u64(), r.flag()
		return fmt.Sprintf("copy of raft id %d, whole %v", id, whole)
	case logMark:
		m := readMark(&r)
		return fmt.Sprintf("mark at %v, floor %v, time %d, whole %v, rebase %v, wipe %v, carry %v", m.pos, m.floor, m.time,
			m.flags&markWhole != 0, m.flags&markRebase != 0, m.flags&markWipe != 0, m.flags&markCarry != 0)
	case logChunk:
		lo, hi := r.u64(), r.u64()
		return fmt.Sprintf("chunk of hashes %016x to %016x, %d bytes", lo, hi, len(r.b))
	case logRevert:
		m := r.revert()
		return fmt.Sprintf("revert from above %v to %v, %d hashes", m.cut, m.asOf, len(m.states))
	}
	return fmt.Sprintf("kind %d, %d bytes", f.Kind, len(f.Payload))
}

// FrameVersion is the version that a shard's copy has after a frame of a log, 0 when the
// frame says none.
func FrameVersion(f *wal.Frame) shardmap.Version {
	switch {
	case f.Kind == logRecord && len(f.Payload) >= recordHead:
		return versionOf(f.Payload)
	case f.Kind == logMark:
		r := reader{b: f.Payload}
		return readMark(&r).pos
	}
	return 0
}

func describeRecord(raw []byte) string {
	if len(raw) == recordHead && raw[recordOp] == opOpen {
		return fmt.Sprintf("open %v on %v", versionOf(raw), prevOf(raw))
	}
	var rec statemachine.Record
	if _, err := statemachine.DecodeRecord(raw, &rec); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %v after %v, key %q, value %d bytes, deadline %d, evicted %d, protected %d",
		opWords[rec.Op], rec.Version, rec.Prev, rec.Key, len(rec.Value), rec.Deadline, len(rec.Evicted), len(rec.Protected))
}

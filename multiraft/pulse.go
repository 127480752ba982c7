package multiraft

import (
	"encoding/binary"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Raft's heartbeats and their answers are nearly all that an idle cluster says,
// five times a second, group and peer. They travel in a form of their own:
//
//	type u8 | to u64 | from u64 | term u64 | commit u64
//
// protobuf with its pointers per field took a third of the idle cost.
const pulseSize = 1 + 4*8

// pulse is a heartbeat or an answer.
type pulse struct {
	kind                   pb.MessageType
	to, from, term, commit uint64
}

// pulseOf is what a message says that isPulse.
func pulseOf(m *pb.Message) pulse {
	return pulse{m.GetType(), m.GetTo(), m.GetFrom(), m.GetTerm(), m.GetCommit()}
}

// message is what raft is told, with the memory its pointers need.
func (k pulse) message() *pb.Message {
	p := &struct {
		pulse
		m pb.Message
	}{pulse: k}
	p.m.Type, p.m.To, p.m.From, p.m.Term, p.m.Commit = &p.kind, &p.to, &p.from, &p.term, &p.commit
	return &p.m
}

// isPulse reports whether a message says nothing that the short form leaves out.
func isPulse(m *pb.Message) bool {
	t := m.GetType()
	return (t == pb.MsgHeartbeat || t == pb.MsgHeartbeatResp) && len(m.GetContext()) == 0 && !m.GetReject() &&
		m.GetIndex() == 0 && m.GetLogTerm() == 0 && len(m.GetEntries()) == 0 && m.GetSnapshot() == nil
}

func appendPulse(b []byte, k pulse) []byte {
	b = append(b, byte(k.kind))
	b = binary.BigEndian.AppendUint64(b, k.to)
	b = binary.BigEndian.AppendUint64(b, k.from)
	b = binary.BigEndian.AppendUint64(b, k.term)
	return binary.BigEndian.AppendUint64(b, k.commit)
}

func decodePulse(b []byte) (k pulse, ok bool) {
	if len(b) != pulseSize {
		return k, false
	}
	k = pulse{
		kind: pb.MessageType(b[0]), to: binary.BigEndian.Uint64(b[1:]), from: binary.BigEndian.Uint64(b[9:]),
		term: binary.BigEndian.Uint64(b[17:]), commit: binary.BigEndian.Uint64(b[25:]),
	}
	return k, k.kind == pb.MsgHeartbeat || k.kind == pb.MsgHeartbeatResp
}

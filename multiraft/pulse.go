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

// pulse is a heartbeat or an answer with the memory its pointers need.
type pulse struct {
	m                      pb.Message
	kind                   pb.MessageType
	to, from, term, commit uint64
}

// isPulse reports whether a message says nothing that the short form leaves out.
func isPulse(m *pb.Message) bool {
	t := m.GetType()
	return (t == pb.MsgHeartbeat || t == pb.MsgHeartbeatResp) && len(m.GetContext()) == 0 && !m.GetReject() &&
		m.GetIndex() == 0 && m.GetLogTerm() == 0 && len(m.GetEntries()) == 0 && m.GetSnapshot() == nil
}

func appendPulse(b []byte, m *pb.Message) []byte {
	b = append(b, byte(m.GetType()))
	b = binary.BigEndian.AppendUint64(b, m.GetTo())
	b = binary.BigEndian.AppendUint64(b, m.GetFrom())
	b = binary.BigEndian.AppendUint64(b, m.GetTerm())
	return binary.BigEndian.AppendUint64(b, m.GetCommit())
}

func decodePulse(b []byte) (*pb.Message, bool) {
	if len(b) != pulseSize {
		return nil, false
	}
	p := &pulse{
		kind: pb.MessageType(b[0]), to: binary.BigEndian.Uint64(b[1:]), from: binary.BigEndian.Uint64(b[9:]),
		term: binary.BigEndian.Uint64(b[17:]), commit: binary.BigEndian.Uint64(b[25:]),
	}
	if p.kind != pb.MsgHeartbeat && p.kind != pb.MsgHeartbeatResp {
		return nil, false
	}
	p.m.Type, p.m.To, p.m.From, p.m.Term, p.m.Commit = &p.kind, &p.to, &p.from, &p.term, &p.commit
	return &p.m, true
}

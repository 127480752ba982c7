package node

import (
	"reflect"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// FuzzFounding: what is read of a founding record can be written and read again.
func FuzzFounding(f *testing.F) {
	b, err := EncodeFounding(Founding{Cluster: [16]byte{1}, Settings: meta.Settings{Shards: 4, Groups: 2}, Nodes: []meta.Node{{ID: 1, Name: "a"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x01{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeFounding(b)
		if err != nil {
			return
		}
		again, err := EncodeFounding(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeFounding(again); err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%+v came back as %+v, %v", got, back, err)
		}
	})
}

// FuzzToken: a token that is taken says what it says, and no more than there is.
func FuzzToken(f *testing.F) {
	f.Add("1:00ff:0.1,3.1099511627777")
	f.Add("1::")
	f.Add("1:a:0.1,0.1,0.1,0.1,0.1")
	f.Add("1:a:0.1+,3.7+")
	f.Fuzz(func(t *testing.T, token string) {
		cluster, marks, err := parseToken(token, 4)
		if err != nil {
			return
		}
		if len(marks) > 4 {
			t.Fatalf("%d marks of 4 shards", len(marks))
		}
		var said []string
		for _, m := range marks {
			if m.Shard >= 4 || int64(m.Version) < 0 {
				t.Fatalf("mark %+v", m)
			}
			said = append(said, m.String())
		}
		written := "1:" + cluster + ":" + strings.Join(said, ",")
		if c, again, err := parseToken(written, 4); err != nil || c != cluster || !reflect.DeepEqual(again, marks) {
			t.Fatalf("%q says %q and %v, written as %q it says %q and %v, %v", token, cluster, marks, written, c, again, err)
		}
	})
}

// FuzzControl: a peer that is out of its mind sends what it likes to a whole node.
// Raft's own messages are left out: what a member makes raft do is raft's.
func FuzzControl(f *testing.F) {
	f.Add(appendQuestion(nil, question{ID: 7, Word: "register", Body: []byte(`{"id":9,"name":"x"}`)}))
	f.Add(appendQuestion(nil, question{ID: 7, Word: "status"}))
	f.Add(appendAnswer(nil, answer{ID: 1, Body: []byte("{}")}))
	f.Add(appendRoutes(nil, announcement{leaving: true, routes: []shardmap.Route{{Group: 1, Epoch: 1 << 22, Leader: 9}, {Group: 900, Epoch: 1, Leader: 1}}}))
	f.Add([]byte{byte(frameData), 1, 1, 0, 1})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > 0 && frameKind(frame[0]) == frameRaft {
			return
		}
		c := founderTelling(t, deaf{})
		c.Ask(2, "status", nil, c.now, func(Answer) {})
		c.Control(2, frame, c.now)
		c.Tick(c.now)
		c.Flush(c.now)
		if _, ok := c.routes.Node(9); ok {
			t.Fatal("a frame put a node into the map")
		}
	})
}

// deaf is an Out that carries nothing out.
type deaf struct{}

func (deaf) Control(shardmap.NodeID, []byte)           {}
func (deaf) Bulk(shardmap.NodeID, []byte)              {}
func (deaf) Datagram(shardmap.NodeID, []byte, bool)    {}
func (deaf) Append(*multiraft.Batch)                   {}
func (deaf) WakeData(shardmap.NodeID)                  {}
func (deaf) WakeAck(shardmap.NodeID, bool)             {}
func (deaf) PeersChanged(map[shardmap.NodeID]string)   {}
func (deaf) PeerHint(shardmap.NodeID, string)          {}
func (deaf) MapChanged(*shardmap.Map)                  {}
func (deaf) Due(shardgroup.Ticket, shardgroup.Outcome) {}
func (deaf) Wake(shardmap.GroupID)                     {}
func (deaf) RaftEvent(multiraft.Event)                 {}
func (deaf) DataEvent(shardgroup.Event)                {}
func (deaf) RolledBack(shardgroup.Rollback)            {}
func (deaf) Answered(uint64, Answer)                   {}

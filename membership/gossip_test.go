package membership

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// brisk is daily life, some times faster.
var brisk = tempo{
	probe: 100 * time.Millisecond, probeTimeout: 50 * time.Millisecond, spread: 20 * time.Millisecond, bury: time.Second,
	visitMin: 50 * time.Millisecond, visitMax: 400 * time.Millisecond, tellEvery: 100 * time.Millisecond,
}

// talker is one node as far as gossip goes: a port, and what it heard.
type talker struct {
	*line
	port   *Port
	gossip *Gossip
	self   Meta
	uuid   [16]byte

	mu      sync.Mutex
	heard   map[shardmap.NodeID]Member
	said    []string // warnings
	visited []Reply
	busy    int // hints that are still to be refused
}

// person is how a talker differs from the others of its circle.
type person struct {
	node    shardmap.NodeID
	inc     uint64
	addr    string // "" chooses one
	host    string // announced instead of addr's
	cluster byte
	secret  string
	tempo   *tempo
}

func talk(t *testing.T, who person) *talker {
	t.Helper()
	k := &talker{line: openLine(t, who.addr), uuid: [16]byte{byte(who.node)}, heard: make(map[shardmap.NodeID]Member)}
	k.self = Meta{
		Cluster: [16]byte{who.cluster}, Node: who.node, Incarnation: who.inc, Version: "0.1.0", MemoryMax: 1 << 20,
		GossipAddr: k.addr(), ClusterAddr: fmt.Sprintf("10.0.0.%d:7001", who.node),
	}
	if who.host != "" {
		k.self.GossipAddr = k.at(who.host)
	}
	k.port = NewPort(tcp{k.line}, udp{k.line}, []byte(who.secret), func(Question, net.Addr) Reply {
		return Reply{UUID: k.uuid, Cluster: k.self.Cluster, Name: fmt.Sprint("node", who.node)}
	}, func(net.Addr, error) {})
	if who.tempo == nil {
		who.tempo = &brisk
	}
	k.gossip = startGossip(GossipConfig{
		Port: k.port, Secret: []byte(who.secret), UUID: k.uuid, Name: fmt.Sprint("node", who.node), Self: k.self,
		Told: k.told,
		Visited: func(_ Contact, r Reply) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.visited = append(k.visited, r)
		},
		Say: func(s Severity, text string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if s == Warn {
				k.said = append(k.said, text)
			}
		},
	}, *who.tempo)
	t.Cleanup(k.stop)
	return k
}

// at is the talker's gossip address on another host.
func (k *talker) at(host string) string {
	_, port, _ := net.SplitHostPort(k.addr())
	return net.JoinHostPort(host, port)
}

func (k *talker) told(m Member) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy > 0 {
		k.busy--
		return false
	}
	k.heard[m.Node] = m
	return true
}

// stop ends it like a kill: without a goodbye.
func (k *talker) stop() {
	if k.port != nil {
		k.gossip.Close()
		k.port.Close()
		k.port = nil
	}
}

func (k *talker) of(n shardmap.NodeID) Member {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heard[n]
}

func (k *talker) warnings(part string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.said {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

func (k *talker) contact() Contact {
	return Contact{Addr: k.self.GossipAddr, Node: k.self.Node, Name: fmt.Sprint("node", k.self.Node), UUID: k.uuid}
}

// register makes everybody know where everybody should be.
func register(ks ...*talker) {
	var cs []Contact
	for _, k := range ks {
		cs = append(cs, k.contact())
	}
	for _, k := range ks {
		k.gossip.Contacts(cs)
	}
}

// awaitState waits until everybody else says so of a node.
func awaitState(t *testing.T, limit time.Duration, of shardmap.NodeID, want State, by ...*talker) {
	t.Helper()
	for _, k := range by {
		if k.self.Node != of {
			until(t, limit, fmt.Sprintf("node %d says that node %d is %s", k.self.Node, of, want), func() bool { return k.of(of).State == want })
		}
	}
}

// circle starts n talkers that have met.
func circle(t *testing.T, n int, secret string) []*talker {
	t.Helper()
	var ks []*talker
	for i := range n {
		ks = append(ks, talk(t, person{node: shardmap.NodeID(i + 1), inc: 1, secret: secret}))
	}
	register(ks...)
	for _, k := range ks {
		awaitState(t, 10*time.Second, k.self.Node, Alive, ks...)
	}
	return ks
}

func TestThreeNodesMeetAndTellNews(t *testing.T) {
	for _, secret := range []string{"", "sixteen characters"} {
		t.Run("secret "+secret, func(t *testing.T) {
			noLeak(t)
			ks := circle(t, 3, secret)
			if got := ks[0].of(2); got.Meta != ks[1].self {
				t.Errorf("node 1 hears of node 2 that %+v, and not that %+v", got, ks[1].self)
			}
			m := ks[1].self
			m.Leases, m.MemoryUsed = 5, 1<<19
			ks[1].gossip.Update(m)
			for _, k := range []*talker{ks[0], ks[2]} {
				until(t, 5*time.Second, "the news", func() bool { return k.of(2).Meta == m })
			}
			m.MemoryUsed++ // not worth telling
			ks[1].gossip.Update(m)
			m.Draining = true // this is
			ks[1].gossip.Update(m)
			until(t, 5*time.Second, "the drain", func() bool { return ks[0].of(2).Draining })
			if got := ks[0].of(2).MemoryUsed; got != m.MemoryUsed {
				t.Errorf("memory used %d", got)
			}
		})
	}
}

func TestAKilledNodeIsDeadAndALeaverHasLeft(t *testing.T) {
	noLeak(t)
	ks := circle(t, 4, "")
	ks[3].stop()
	m := ks[2].self
	m.Draining = true
	ks[2].gossip.mu.Lock()
	ks[2].gossip.self = m // as when the goodbye comes before the news could be told
	ks[2].gossip.mu.Unlock()
	begun := time.Now()
	ks[2].gossip.Leave(300 * time.Millisecond)
	if took := time.Since(begun); took > 400*time.Millisecond {
		t.Errorf("saying goodbye took %v", took)
	}
	ks[2].stop()
	awaitState(t, 5*time.Second, 3, Left, ks[:2]...)
	awaitState(t, 15*time.Second, 4, Dead, ks[:2]...)
}

func TestARestartIsNoConflict(t *testing.T) {
	noLeak(t)
	ks := circle(t, 3, "")
	for inc, addr := range []string{ks[2].addr(), ""} { // at its old address, then at a new one
		ks[2].stop()
		k := talk(t, person{node: 3, inc: uint64(inc + 2), addr: addr})
		k.gossip.Contacts([]Contact{ks[0].contact(), ks[1].contact()})
		ks[2] = k
		for _, o := range ks[:2] {
			until(t, 10*time.Second, "the new start is alive", func() bool {
				return o.of(3).State == Alive && o.of(3).Meta == k.self
			})
		}
		awaitState(t, 10*time.Second, 1, Alive, k)
		// The old name dies later: the node stays alive.
		old := memberName(Meta{Node: 3, Incarnation: uint64(inc + 1)})
		until(t, 15*time.Second, "the old name has gone", func() bool {
			r := ks[0].gossip.roster
			r.mu.Lock()
			defer r.mu.Unlock()
			m, known := r.names[old]
			return !known || m.State.Gone()
		})
		if got := ks[0].of(3); got.State != Alive || got.Incarnation != k.self.Incarnation {
			t.Errorf("after the old name died, node 3 is %s in start %d", got.State, got.Incarnation)
		}
	}
	if n := ks[0].warnings("onflict"); n != 0 {
		t.Errorf("%d conflicts were reported", n)
	}
}

func TestTwoProcessesWithOneIdentityAreReportedOnce(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	double := talk(t, person{node: 2, inc: 1})
	double.gossip.Contacts([]Contact{ks[0].contact()})
	until(t, 10*time.Second, "the double is reported", func() bool { return ks[0].warnings("one identity") == 1 })
	if got := ks[0].of(2); got.GossipAddr != ks[1].addr() {
		t.Errorf("the double took the place: %+v", got)
	}
}

func TestAnotherAddressWithinOneStart(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	k := talk(t, person{node: 3, inc: 1, addr: "0.0.0.0:0", host: "127.0.0.1"})
	register(append(ks, k)...)
	awaitState(t, 10*time.Second, 3, Alive, ks...)
	m := k.self
	m.GossipAddr = k.at("127.0.0.2")
	k.gossip.Update(m)
	for _, o := range ks {
		until(t, 10*time.Second, "the new address", func() bool {
			at := slices.IndexFunc(o.gossip.current().list.Members(), func(n *memberlist.Node) bool { return n.Address() == m.GossipAddr })
			return at >= 0 && o.of(3).State == Alive && o.of(3).GossipAddr == m.GossipAddr
		})
		awaitState(t, 10*time.Second, o.self.Node, Alive, k)
	}
	if n := ks[0].warnings("onflict") + ks[0].warnings("identity"); n != 0 {
		t.Errorf("%d conflicts were reported", n)
	}
}

func TestStrangersStayOutside(t *testing.T) {
	for name, c := range map[string]struct {
		who  person
		asks bool // its questions are answered
	}{
		"another secret":  {person{node: 3, inc: 1, secret: "another secret of 16"}, false},
		"another cluster": {person{node: 3, inc: 1, cluster: 9, secret: "sixteen characters"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			ks := circle(t, 2, "sixteen characters")
			s := talk(t, c.who)
			register(append(slices.Clone(ks), s)...)
			until(t, 10*time.Second, "each side has asked the other", func() bool {
				ks[0].mu.Lock()
				defer ks[0].mu.Unlock()
				met := slices.ContainsFunc(ks[0].visited, func(r Reply) bool { return r.UUID == s.uuid && r.Cluster == s.self.Cluster })
				return met || !c.asks
			})
			// Gossip that comes all the same, as from a node that kept an old address.
			l := s.gossip.current()
			for l == nil {
				l = s.gossip.current()
			}
			for range 5 {
				if n, _ := l.list.Join([]string{ks[0].addr()}); n > 0 {
					t.Error("a stranger joined")
				}
			}
			if a, b := ks[0].of(3), s.of(1); a.State != 0 || b.State != 0 {
				t.Errorf("they know each other: %s, %s", a.State, b.State)
			}
			if n := ks[0].warnings("another cluster"); c.asks && n != 1 {
				t.Errorf("the other cluster was reported %d times", n)
			}
			awaitState(t, 5*time.Second, 2, Alive, ks[0])
		})
	}
}

// liar is a memberlist that says of itself whatever it is told to.
type liar struct {
	delegate
	meta []byte
}

func (l *liar) NodeMeta(int) []byte                { return l.meta }
func (l *liar) NotifyAlive(*memberlist.Node) error { return nil }
func (l *liar) NotifyJoin(*memberlist.Node)        {}
func (l *liar) NotifyUpdate(*memberlist.Node)      {}
func (l *liar) NotifyLeave(*memberlist.Node)       {}

// lie joins a talker's circle under a name with some meta, as often as asked.
func lie(t *testing.T, to *talker, name string, meta []byte, times int) {
	t.Helper()
	l := openLine(t, "")
	p := openPort(t, l, "")
	defer p.Close()
	w := newWire(p, to.gossip.current().wire.label, netip.MustParseAddrPort(l.addr()), func(string) {})
	c := to.gossip.configure(to.self, w.label, w)
	d := &liar{meta: meta}
	c.Name, c.Delegate, c.Events, c.Alive, c.Conflict = name, d, d, d, nil
	c.Logger = log.New(io.Discard, "", 0)
	list, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		if n, err := list.Join([]string{to.addr()}); n != 1 {
			t.Fatal(err)
		}
	}
	if err := list.Shutdown(); err != nil {
		t.Fatal(err)
	}
}

func TestForeignAndUnreadableMembersAreRefusedInOneSentence(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	foreign, other := ks[1].self, ks[1].self
	foreign.Cluster[0], foreign.Node, other.Node = 8, 3, 4
	lie(t, ks[0], memberName(foreign), AppendMeta(nil, foreign), 3)
	lie(t, ks[0], "5.1", AppendMeta(nil, other), 3)
	lie(t, ks[0], "6.1", []byte{metaFormat + 1, 0}, 3)
	lie(t, ks[0], "7.1", nil, 3)
	for _, part := range []string{"of cluster 08", `called "5.1" and says it is 4.1`, "format 2, this version reads 1", ": 0 bytes"} {
		until(t, 5*time.Second, "a report of "+part, func() bool { return ks[0].warnings(part) == 1 })
	}
	if n := ks[0].warnings("ignored"); n != 4 {
		t.Errorf("%d members are ignored: %q", n, ks[0].said)
	}
	for n := shardmap.NodeID(3); n <= 7; n++ {
		if got := ks[0].of(n); got.State != 0 {
			t.Errorf("node %d is %s", n, got.State)
		}
	}
	if got := ks[0].of(2); got.State != Alive || got.Meta != ks[1].self {
		t.Errorf("node 2 is %+v", got)
	}
}

// TestGossipHealsAfterAPartition cuts all nodes off from each other until everybody
// has given everybody up, in a world where memberlist forgets the dead at once: by itself it would
// never try again.
func TestGossipHealsAfterAPartition(t *testing.T) {
	noLeak(t)
	forgetful := brisk
	forgetful.bury = time.Nanosecond
	var ks []*talker
	for i := range 3 {
		ks = append(ks, talk(t, person{node: shardmap.NodeID(i + 1), inc: 1, tempo: &forgetful}))
	}
	register(ks...)
	for _, k := range ks {
		awaitState(t, 10*time.Second, k.self.Node, Alive, ks...)
	}
	for _, k := range ks {
		k.cut.Store(true)
	}
	for _, k := range ks {
		awaitState(t, 15*time.Second, k.self.Node, Dead, ks...)
	}
	for _, k := range ks {
		k.cut.Store(false)
	}
	for _, k := range ks {
		awaitState(t, 10*time.Second, k.self.Node, Alive, ks...)
	}
}

// TestSeedsAloneBringANodeIn: a node that has no registry yet knows nothing else.
func TestSeedsAloneBringANodeIn(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	k := talk(t, person{node: 3, inc: 1})
	k.gossip.Contacts([]Contact{{Addr: k.addr()}, {Addr: ks[1].addr()}})
	awaitState(t, 10*time.Second, 1, Alive, k)
	awaitState(t, 10*time.Second, 3, Alive, ks...)
}

// TestWhoAnswersForAMissingNodeIsReported: a registered address where another
// cluster lives, and one where a member that is known lives.
func TestWhoAnswersForAMissingNodeIsReported(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	foreign := talk(t, person{node: 6, inc: 1, cluster: 9})
	gone := Contact{Addr: ks[1].addr(), Node: 4, Name: "node4", UUID: [16]byte{4}}
	ks[0].gossip.Contacts([]Contact{ks[0].contact(), ks[1].contact(), gone, {Addr: foreign.addr(), Node: 5, Name: "node5", UUID: [16]byte{5}}})
	until(t, 5*time.Second, "the answers are passed on, round after round", func() bool {
		ks[0].mu.Lock()
		defer ks[0].mu.Unlock()
		known, strange := 0, 0
		for _, r := range ks[0].visited {
			if r.UUID == ks[1].uuid {
				known++
			}
			if r.Cluster == foreign.self.Cluster {
				strange++
			}
		}
		return known > 2 && strange > 2
	})
	if n := foreign.warnings("another cluster"); n != 0 {
		t.Error("memberlist was sent to a stranger")
	}
}

func TestHintsComeAgainWhenThereWasNoRoom(t *testing.T) {
	noLeak(t)
	a, b := talk(t, person{node: 1, inc: 1}), talk(t, person{node: 2, inc: 1})
	a.mu.Lock()
	a.busy = 5
	a.mu.Unlock()
	register(a, b)
	awaitState(t, 10*time.Second, 2, Alive, a)
}

// TestHintsAreToldAgainWhenTheRegistryGrows: the core drops a hint about a node that
// the registry does not know yet.
func TestHintsAreToldAgainWhenTheRegistryGrows(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	ks[0].mu.Lock()
	clear(ks[0].heard)
	ks[0].mu.Unlock()
	ks[0].gossip.Contacts([]Contact{ks[0].contact(), ks[1].contact(), {Addr: "127.0.0.1:1", Node: 3}})
	awaitState(t, 5*time.Second, 2, Alive, ks[0])
}

// TestCloseDoesNotWaitForASilentPeer: one that answers questions and takes streams
// and then says nothing.
func TestCloseDoesNotWaitForASilentPeer(t *testing.T) {
	noLeak(t)
	k := talk(t, person{node: 1, inc: 1})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	streams := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var first [1]byte
			if _, err := io.ReadFull(c, first[:]); err != nil || first[0] != questionByte {
				streams <- c
				continue
			}
			_ = writeMessage(c, Reply{UUID: [16]byte{2}, Cluster: k.self.Cluster}, nil)
			c.Close()
		}
	}()
	k.gossip.Contacts([]Contact{{Addr: ln.Addr().String(), Node: 2, UUID: [16]byte{2}}})
	c := <-streams
	defer c.Close()
	begun := time.Now()
	k.stop()
	if took := time.Since(begun); took > streamTimeout/3 {
		t.Errorf("closing took %v", took)
	}
}

func TestGarbageDoesNotDisturbGossip(t *testing.T) {
	noLeak(t)
	ks := circle(t, 2, "")
	random := rand.NewChaCha8([32]byte{7})
	u, err := net.Dial("udp", ks[0].addr())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	label := ks[0].gossip.current().wire.label
	for i := range 300 {
		b := make([]byte, 1+random.Uint64()%1400)
		_, _ = random.Read(b)
		if i%2 == 0 { // behind the right label: memberlist itself must stand it
			b = append(append([]byte{244, byte(len(label))}, label...), b...)
		}
		_, _ = u.Write(b)
		c := dial(t, ks[0].addr())
		_, _ = c.Write(b)
		if i%3 == 0 {
			c.Close()
		}
	}
	if _, err := Ask(context.Background(), ks[0].addr(), Question{Word: AskWho}, nil); err != nil {
		t.Error(err)
	}
	m := ks[1].self
	m.Leases = 9
	ks[1].gossip.Update(m)
	until(t, 10*time.Second, "news still come", func() bool { return ks[0].of(2).Leases == 9 && ks[0].of(2).State == Alive })
	ks[0].mu.Lock()
	defer ks[0].mu.Unlock()
	if len(ks[0].said) > voiceLines+strangersMax {
		t.Errorf("%d warnings were written: %q", len(ks[0].said), ks[0].said)
	}
}

func TestAVoiceIsBounded(t *testing.T) {
	var lines []string
	now := time.Unix(0, 0)
	v := newVoice(func(s Severity, text string) { lines = append(lines, fmt.Sprint(s, " ", text)) })
	v.now = func() time.Time { return now }
	write := func(s string) { _, _ = v.Write([]byte(s + "\n")) }
	write("[DEBUG] memberlist: d")
	write("[INFO] memberlist: i")
	write("[ERR] memberlist: e")
	write("[WARN] memberlist: Got ping for unexpected node 1.1")
	write("no mark at all")
	want := []string{"1 d", "2 i", "3 e", "1 Got ping for unexpected node 1.1", "3 no mark at all"}
	if !slices.Equal(lines, want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
	lines = nil
	for range 100 {
		write("[WARN] memberlist: again")
		write("[DEBUG] memberlist: not counted")
	}
	if n := len(lines); n != voiceLines-3+100 {
		t.Errorf("%d lines of a flood", n)
	}
	lines, now = nil, now.Add(voiceWindow)
	write("[WARN] memberlist: later")
	if want := []string{"3 93 more lines like these were left out", "3 later"}; !slices.Equal(lines, want) {
		t.Errorf("afterwards %q", lines)
	}
	for range 3 {
		v.warnOnce("once")
	}
	if n := bytes.Count([]byte(strings.Join(lines, "\n")), []byte("once")); n != 1 {
		t.Errorf("said %d times", n)
	}
}

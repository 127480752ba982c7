package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// half is one of two nodes: it holds the groups that its map gives it and refuses
// others as a node does.
type half struct {
	*memory
	id    shardmap.NodeID
	known atomic.Pointer[shardmap.Map]
	gone  func(slot shardmap.Slot) bool // hands the slot to the other node although the map says otherwise
}

func (h *half) Map() *shardmap.Map    { return h.known.Load() }
func (h *half) Self() shardmap.NodeID { return h.id }

func (h *half) admit(key []byte) error { return h.admitSlot(shardmap.SlotOf(key)) }

func (h *half) Begin(_ *Session, slot shardmap.Slot, _ bool) error { return h.admitSlot(slot) }

// onShard runs a part of a command on a shard, and takes back that it was held when the
// shard has moved meanwhile.
func (h *half) onShard(shard shardmap.ShardID, run func() error) error {
	layout := h.known.Load().Layout()
	slot, _ := layout.SlotRange(shard)
	if err := h.admitSlot(slot); err != nil {
		return err
	}
	epoch := h.known.Load().Route(layout.GroupOf(shard)).Epoch
	if err := run(); err != nil || h.known.Load().Route(layout.GroupOf(shard)).Epoch == epoch {
		return err
	}
	return ErrAgain
}

func (h *half) Step(s *Session, at Cursor, n int, visit func(key []byte)) (Cursor, error) {
	var keys [][]byte
	next := at
	err := h.onShard(at.Shard(), func() (err error) {
		next, err = h.memory.Step(s, at, n, func(key []byte) { keys = append(keys, bytes.Clone(key)) })
		return err
	})
	if err != nil {
		return at, err
	}
	for _, key := range keys {
		visit(key)
	}
	return next, nil
}

func (h *half) Count(s *Session, shard shardmap.ShardID) (n int64, err error) {
	err = h.onShard(shard, func() (err error) { n, err = h.memory.Count(s, shard); return err })
	return n, err
}

func (h *half) Flush(s *Session, shard shardmap.ShardID) error {
	return h.onShard(shard, func() error { return h.memory.Flush(s, shard) })
}

func (h *half) Held(s *Session, shard shardmap.ShardID, epoch uint32, v shardmap.Version) (shardmap.Version, int, error) {
	slot, _ := h.known.Load().Layout().SlotRange(shard)
	if err := h.admitSlot(slot); err != nil {
		return 0, 0, err
	}
	return h.memory.Held(s, shard, epoch, v)
}

// Check knows nothing of shards that the other node holds.
func (h *half) Check(s *Session, token string) ([]Verdict, error) {
	all, err := h.memory.Check(s, token)
	for i := range all {
		slot, _ := h.known.Load().Layout().SlotRange(all[i].Shard)
		if h.admitSlot(slot) != nil {
			all[i].Word = verdictUnknown
		}
	}
	return all, err
}

func (h *half) admitSlot(slot shardmap.Slot) error {
	m := h.known.Load()
	to := m.LeaderOf(slot)
	if h.gone != nil && h.gone(slot) {
		to = 3 - h.id
	}
	if to == h.id {
		return nil
	}
	n, _ := m.Node(to)
	return &MovedError{Slot: slot, Addr: n.Host + ":" + strconv.Itoa(n.Port)}
}

// pair is a gateway on node 1 of two, and the other one's server.
type pair struct {
	a, b *half
	srv  *Server // of the gateway
	link *relay
	addr string // of the gateway
}

// startPair gives node 1 the odd groups and node 2 the even ones.
func startPair(t *testing.T) *pair {
	t.Helper()
	return startPairWith(t, testConfig())
}

func startPairWith(t *testing.T, cfg Config) *pair {
	t.Helper()
	p := &pair{a: &half{memory: newMemory(), id: 1}, b: &half{memory: newMemory(), id: 2}, link: &relay{}}
	p.a.again, p.b.again = p.a.admit, p.b.admit
	p.a.known.Store(p.a.routes)
	p.b.known.Store(p.b.routes)
	a, b := NewServer(cfg, p.a), NewServer(cfg, p.b)
	p.srv = a
	own, other := listenOn(t, a.Serve), listenOn(t, b.Serve)
	m := shardmap.NewMap(shardmap.DefaultLayout).WithNodes(1, []shardmap.NodeInfo{
		{ID: 1, Name: "node1", Host: "127.0.0.1", Port: portOf(t, own)}, {ID: 2, Name: "node2", Host: "127.0.0.1", Port: portOf(t, other)},
	})
	for g := 1; g <= shardmap.DefaultLayout.Groups; g++ {
		m = m.With(shardmap.Route{Group: shardmap.GroupID(g), Epoch: 1, Leader: shardmap.NodeID(2 - g%2)})
	}
	p.a.known.Store(m)
	p.b.known.Store(m)
	p.addr = listenOn(t, func(l net.Listener) error { return a.ServeGateway(l, p.link) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, s := range []*Server{a, b} {
			if err := s.Shutdown(ctx); err != nil {
				t.Error("shutdown:", err)
			}
			p.link.wg.Wait()
			if n := s.buffered.Load(); n != 0 {
				t.Errorf("%d bytes are still counted", n)
			}
		}
	})
	return p
}

// listenOn serves a free port until the server is shut down.
func listenOn(t *testing.T, serve func(net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error("serve:", err)
		}
	})
	return l.Addr().String()
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// move gives the group of a slot to a node, as both know from now on.
func (p *pair) move(slot shardmap.Slot, to shardmap.NodeID, known ...*half) {
	l := shardmap.DefaultLayout
	for _, h := range known {
		m := h.known.Load()
		g := l.GroupOf(l.ShardOf(slot))
		h.known.Store(m.With(shardmap.Route{Group: g, Epoch: m.Route(g).Epoch + 1, Leader: to}))
	}
}

// relay is a Forwarder with a connection for each handful of calls.
type relay struct {
	wg     sync.WaitGroup
	before func(calls []*Call) error // an error is what becomes of all of them
	turns  *sync.Mutex               // unless nil: one handful after the other
	down   shardmap.NodeID           // cannot be reached
	sent   atomic.Int64
}

func (r *relay) Forward(to shardmap.NodeInfo, via Via, calls []*Call) {
	var b []byte
	for _, k := range calls {
		b = append(b, k.Command...)
	}
	calls = append([]*Call(nil), calls...)
	r.sent.Add(int64(len(calls)))
	r.wg.Go(func() {
		if r.turns != nil {
			r.turns.Lock()
			defer r.turns.Unlock()
		}
		var nc net.Conn
		err := error(nil)
		if r.before != nil {
			err = r.before(calls)
		}
		if to.ID == r.down {
			err = ErrUnsent
		}
		if err == nil {
			nc, err = net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(to.Port)))
		}
		if err != nil {
			if !errors.Is(err, ErrLost) {
				err = ErrUnsent
			}
			for _, k := range calls {
				k.Done(err)
			}
			return
		}
		defer nc.Close()
		_, _ = nc.Write(append(fmt.Appendf(nil, "HELLO %d\r\n", via.Proto), b...))
		rd := bufio.NewReader(nc)
		_, _, _ = resp.CopyReply(rd, nil, func(int) bool { return true })
		for _, k := range calls {
			var ok bool
			for range k.Skip {
				k.Reply, _, _ = resp.CopyReply(rd, k.Reply[:0], k.Room)
				k.Skipped(k.Reply)
			}
			if k.Reply, ok, err = resp.CopyReply(rd, k.Reply[:0], k.Room); err != nil || !ok {
				k.Done(ErrLost)
				continue
			}
			k.Done(nil)
		}
	})
}

// keysOf finds n keys that a node holds, each in a slot of its own.
func (p *pair) keysOf(id shardmap.NodeID, n int) (keys []string) {
	seen := map[shardmap.Slot]bool{}
	for i := 0; len(keys) < n; i++ {
		k := fmt.Sprint("key", i)
		if s := shardmap.SlotOfString(k); p.a.Map().LeaderOf(s) == id && !seen[s] {
			seen[s] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// TestGatewayTranscripts: H are keys held here, F keys of the other node.
func TestGatewayTranscripts(t *testing.T) {
	for _, x := range []struct{ name, in, out string }{
		{"a pipeline over two nodes is answered in order", "SET H0 a\r\nSET F0 b\r\nGET H0\r\nGET F0\r\nINCR F1\r\nINCR H1\r\nGET F2\r\nPING\r\n", "+OK\r\n+OK\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n:1\r\n$-1\r\n+PONG\r\n"},
		{"RESP3 reaches the other node", "RESET\r\nGET F0\r\nHELLO 2\r\nGET F0\r\n", "+RESET\r\n$-1\r\n" + strings.Replace(helloReply, "{mode}", "$10\r\nstandalone", 1) + "$-1\r\n"},
		{"errors of the other node", "SET F0 a\r\nINCR F0\r\nSET F0 a NX XX\r\nGET F0\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n$1\r\na\r\n"},
		{"many keys", "MSET H0 1 F0 2 H1 3 F1 4\r\nMGET F1 H0 none F0 F1 H1\r\nEXISTS H0 F0 F0 nope\r\nDEL H0 F0 none\r\nTOUCHED\r\nUNLINK H1 F1\r\n", "+OK\r\n*6\r\n$1\r\n4\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n$1\r\n4\r\n$1\r\n3\r\n:3\r\n:2\r\n-ERR unknown command 'TOUCHED', with args beginning with: \r\n:2\r\n"},
		{"keys of one node only", "MSET H0 1 H1 2\r\nMGET H1 H0\r\nDEL H0 H1\r\nMSET F0 1 F1 2\r\nMGET F1 F0\r\n", "+OK\r\n*2\r\n$1\r\n2\r\n$1\r\n1\r\n:2\r\n+OK\r\n*2\r\n$1\r\n2\r\n$1\r\n1\r\n"},
		{"uneven words", "MSET H0 1 F0\r\nMGET\r\nSET F0\r\n", "-ERR wrong number of arguments for 'mset' command\r\n-ERR wrong number of arguments for 'mget' command\r\n-ERR wrong number of arguments for 'set' command\r\n"},
		{"no cluster here", "CLUSTER SLOTS\r\nCLUSTER\r\nREADONLY\r\nASKING\r\nSELECT 0\r\nSELECT 1\r\n", "-ERR This instance has cluster support disabled\r\n-ERR wrong number of arguments for 'cluster' command\r\n-ERR This instance has cluster support disabled\r\n-ERR This instance has cluster support disabled\r\n+OK\r\n-ERR DB index is out of range\r\n"},
		{"tokens are judged by the holders", "AEGIS.CHECK 1:0:3.7,5.9\r\nAEGIS.CHECK x\r\nAEGIS.CHECK 1:0:3.7\r\n", "*2\r\n*3\r\n:3\r\n:7\r\n$7\r\ndurable\r\n*3\r\n:5\r\n:9\r\n$7\r\ndurable\r\n-ERR the token cannot be read\r\n*1\r\n*3\r\n:3\r\n:7\r\n$7\r\ndurable\r\n"},
		{"its settings", "CONFIG GET CLUSTER-*\r\nHELLO\r\n", "*2\r\n$15\r\ncluster-enabled\r\n$2\r\nno\r\n" + strings.Replace(helloReply, "{mode}", "$10\r\nstandalone", 1)},
		{"transactions", "MULTI\r\nSET F0 1\r\nINCR F0\r\nPING\r\nEXEC\r\nGET F0\r\nMULTI\r\nSET H0 1\r\nEXEC\r\nMULTI\r\nSET H0 1\r\nSET F0 1\r\nEXEC\r\nMULTI\r\nCLIENT ID\r\nEXEC\r\nMULTI\r\nPING\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:2\r\n+PONG\r\n$1\r\n2\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n-CROSSSLOT Keys in request don't hash to the same slot\r\n+OK\r\n-ERR 'client|id' cannot be in a transaction on the gateway port\r\n-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"},
		{"all keys", "MSET H0 1 H1 1 F0 1\r\nDBSIZE\r\nFLUSHALL NOW\r\nFLUSHALL\r\nGET H0\r\nDBSIZE\r\n", "+OK\r\n:3\r\n-ERR syntax error\r\n+OK\r\n$-1\r\n:0\r\n"},
		{"replies that are not wanted", "CLIENT REPLY OFF\r\nSET F0 1\r\nSET H0 1\r\nMSET F1 1 H1 1\r\nGET F0\r\nCLIENT REPLY ON\r\nINCR F0\r\nCLIENT REPLY SKIP\r\nINCR F0\r\nINCR F0\r\nCLIENT REPLY SKIP\r\nINCR H0\r\nMGET F1 H0 F0\r\n", "+OK\r\n:2\r\n:4\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n4\r\n"},
		{"inline and empty lines", "\r\n\r\nSET F0 'a b'\r\n*2\r\n$3\r\nGET\r\n$F\r\n", "+OK\r\n$3\r\na b\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := startPair(t)
			here, far := p.keysOf(1, 3), p.keysOf(2, 3)
			in := strings.Replace(x.in, "$F\r\n", fmt.Sprintf("$%d\r\n%s\r\n", len(far[0]), far[0]), 1)
			for i := range here {
				in = strings.ReplaceAll(strings.ReplaceAll(in, fmt.Sprint("H", i), here[i]), fmt.Sprint("F", i), far[i])
			}
			c := dial(t, p.addr)
			c.send(in + "QUIT\r\n")
			c.want(x.out + "+OK\r\n")
			c.wantClosed()
		})
	}
}

const helloReply = "*16\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n{mode}\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n$13\r\naegis_version\r\n$10\r\n0.1.0-test\r\n"

// TestGatewayFollowsWhatMoved: commands go where a slot went, whoever knows it.
func TestGatewayFollowsWhatMoved(t *testing.T) {
	p := startPair(t)
	here, far := p.keysOf(1, 1)[0], p.keysOf(2, 1)[0]
	c := dial(t, p.addr)
	t.Run("from here, unknown to the map", func(t *testing.T) {
		slot := shardmap.SlotOfString(here)
		p.move(slot, 2, p.b)
		p.a.gone = func(s shardmap.Slot) bool { return s == slot }
		c.send("SET " + here + " 1\r\nINCR " + here + "\r\nGET " + here + "\r\n")
		c.want("+OK\r\n:2\r\n$1\r\n2\r\n")
		if _, kept := p.a.keys[here]; kept || string(p.b.keys[here].value) != "2" {
			t.Error("the key is not where its slot is")
		}
	})
	t.Run("a transaction", func(t *testing.T) {
		c.send("MULTI\r\nINCR " + here + "\r\nGET " + here + "\r\nEXEC\r\n")
		c.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n$1\r\n3\r\n")
	})
	t.Run("a transaction that is refused at first", func(t *testing.T) {
		asked := refuseFirst(p.b, far, 3)
		c.send("MULTI\r\nSET " + far + " 1\r\nINCR " + far + "\r\nEXEC\r\nDEL " + far + "\r\n")
		c.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n:1\r\n")
		if asked.Load() < 4 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
	t.Run("away from the other, and soon back", func(t *testing.T) {
		asked := refuseFirst(p.b, far, 5)
		c.send("SET " + far + " 1\r\nINCR " + far + "\r\nINCR " + far + "\r\n")
		c.want("+OK\r\n:2\r\n:3\r\n")
		if asked.Load() < 6 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

// refuseFirst makes a node refuse the slot of a key the first times; asked counts all.
func refuseFirst(b *half, key string, times int64) (asked *atomic.Int64) {
	slot, asked := shardmap.SlotOfString(key), new(atomic.Int64)
	b.again = func(k []byte) error {
		if shardmap.SlotOf(k) == slot && asked.Add(1) <= times {
			return ErrDown
		}
		return b.admit(k)
	}
	return asked
}

// TestGatewayGivesUpInTime: a slot that nobody serves is refused after the parking
// time, and the replies before it leave earlier.
func TestGatewayGivesUpInTime(t *testing.T) {
	p := startPair(t)
	far := p.keysOf(2, 2)
	p.b.again = func(key []byte) error {
		if string(key) == far[0] {
			return ErrDown
		}
		return p.b.admit(key)
	}
	c := dial(t, p.addr)
	begun := time.Now()
	c.send("SET " + far[1] + " 1\r\nGET " + far[0] + "\r\nGET " + far[1] + "\r\n")
	c.want("+OK\r\n")
	early := time.Since(begun)
	c.want("-CLUSTERDOWN Hash slot not served\r\n$1\r\n1\r\n")
	if took := time.Since(begun); took < forwardPark || early >= forwardPark || took > 20*forwardPark {
		t.Errorf("the first reply came after %v, the last after %v", early, took)
	}
}

// TestGatewayFollowsNoCircle: two nodes that name each other are asked a few times, and
// then nobody serves the slot.
func TestGatewayFollowsNoCircle(t *testing.T) {
	p := startPair(t)
	here, far := p.keysOf(1, 1)[0], p.keysOf(2, 1)[0]
	var asked atomic.Int64
	p.b.gone = func(s shardmap.Slot) bool {
		if s != shardmap.SlotOfString(far) {
			return false
		}
		asked.Add(1)
		return true
	}
	c := dial(t, p.addr)
	_ = c.nc.SetDeadline(time.Now().Add(30 * forwardPark))
	begun := time.Now()
	c.send("GET " + far + "\r\nSET " + here + " 1\r\n")
	c.want("-CLUSTERDOWN Hash slot not served\r\n+OK\r\n")
	if took := time.Since(begun); took < forwardPark || took > 20*forwardPark {
		t.Errorf("answered after %v", took)
	}
	if n := asked.Load(); n < 2 || n > 1000 {
		t.Errorf("the other node was asked %d times", n)
	}
}

// TestGatewayKeepsTheOrderOfASlot: a command that was refused is not run after a later
// one of its slot.
func TestGatewayKeepsTheOrderOfASlot(t *testing.T) {
	p := startPair(t)
	far := p.keysOf(2, 1)[0]
	var n atomic.Int64
	p.b.again = func(key []byte) error {
		if n.Add(1) == 1 {
			return ErrDown
		}
		return p.b.admit(key)
	}
	c := dial(t, p.addr)
	c.send("SET " + far + " early\r\nSET " + far + " late\r\nGET " + far + "\r\n")
	c.want("-CLUSTERDOWN Hash slot not served\r\n+OK\r\n$4\r\nlate\r\n")
	n.Store(0)
	c.send("GET " + far + "\r\nGET " + far + "\r\n") // reads may change places
	c.want("$4\r\nlate\r\n$4\r\nlate\r\n")
}

// TestGatewayDoesNotAnswerWhatIsNotKnown: a write whose reply is lost closes the
// connection and is not repeated; a read is repeated; what was never sent, too.
func TestGatewayDoesNotAnswerWhatIsNotKnown(t *testing.T) {
	for _, x := range []struct {
		name, in, out string
		fail          error
		closed        bool
	}{
		{"a write", "SET F0 1\r\n", "", ErrLost, true},
		{"replies before it leave", "SET H0 1\r\nINCR F0\r\nGET H0\r\n", "+OK\r\n", ErrLost, true},
		{"a part of a write", "MSET H0 1 F0 1\r\nGET H0\r\n", "", ErrLost, true},
		{"a read", "GET F0\r\nMGET H0 F0\r\n", "$-1\r\n*2\r\n$-1\r\n$-1\r\n", ErrLost, false},
		{"a write that was not sent", "SET F0 1\r\n", "+OK\r\n", ErrUnsent, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := startPair(t)
			in := strings.ReplaceAll(strings.ReplaceAll(x.in, "H0", p.keysOf(1, 1)[0]), "F0", p.keysOf(2, 1)[0])
			var failed atomic.Bool
			p.link.before = func([]*Call) error {
				if !failed.Swap(true) {
					return x.fail
				}
				return nil
			}
			c := dial(t, p.addr)
			c.send(in)
			c.want(x.out)
			if !x.closed {
				c.send("PING\r\n")
				c.want("+PONG\r\n")
				return
			}
			c.wantClosed()
			if n := p.link.sent.Load(); n != 1 {
				t.Errorf("%d calls were sent", n)
			}
		})
	}
}

// TestGatewayLeavesANodeThatHangs: once another node holds the slot, reads go there and
// writes end with their connection.
func TestGatewayLeavesANodeThatHangs(t *testing.T) {
	for _, x := range []struct{ in, out string }{{"GET F0\r\n", "$-1\r\n"}, {"SET F0 1\r\n", ""}} {
		t.Run(strings.Fields(x.in)[0], func(t *testing.T) {
			p := startPair(t)
			far := p.keysOf(2, 1)[0]
			free := make(chan struct{})
			var first atomic.Bool
			p.link.before = func([]*Call) error {
				if !first.Swap(true) {
					p.move(shardmap.SlotOfString(far), 1, p.a, p.b)
					<-free
					return ErrLost
				}
				return nil
			}
			defer close(free)
			c := dial(t, p.addr)
			c.send(strings.ReplaceAll(x.in, "F0", far))
			c.want(x.out)
			if x.out == "" {
				c.wantClosed()
			}
		})
	}
}

// TestGatewayStaleReadsAreRunAgain: when the leases of local reads have ended, nothing
// of the pipeline was forwarded yet, and it is run from its start.
func TestGatewayStaleReadsAreRunAgain(t *testing.T) {
	p := startPair(t)
	here, far := p.keysOf(1, 1)[0], p.keysOf(2, 1)[0]
	stale := true
	p.a.commit = func() error {
		if stale {
			stale = false
			return ErrStale
		}
		return nil
	}
	c := dial(t, p.addr)
	c.send("GET " + here + "\r\nINCR " + far + "\r\n")
	c.want("$-1\r\n:1\r\n")
}

// TestGatewayCountsReplies: replies on their way count as buffers of their client, and
// who has too many is closed.
func TestGatewayCountsReplies(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 64 << 20
	p := startPairWith(t, cfg)
	far := p.keysOf(2, 1)[0]
	if err := p.b.Do(&Session{}, &Op{Kind: OpSet, Key: []byte(far), Slot: shardmap.SlotOfString(far), Value: make([]byte, 2<<20)}, &Result{}); err != nil {
		t.Fatal(err)
	}
	many := strings.Repeat("GET "+far+"\r\n", 60) // together more than BuffersMax
	c := dial(t, p.addr)
	if v := c.do("GET", far); len(v.Text) != 2<<20 {
		t.Fatalf("%d bytes", len(v.Text))
	}
	c.send(many) // after a large reply few are forwarded together
	for i := range 60 {
		if v, err := resp.ReadReply(c.r); err != nil || len(v.Text) != 2<<20 {
			t.Fatalf("reply %d: %d bytes, %v", i, len(v.Text), err)
		}
	}
	if n := p.srv.evicted.Load(); n != 0 {
		t.Errorf("%d connections were closed for their buffers", n)
	}
	c = dial(t, p.addr)
	c.send(many)
	if n, err := io.Copy(io.Discard, c.r); n > 0 || p.srv.evicted.Load() != 1 {
		t.Errorf("a client that asks for too much at once got %d bytes, %v; %d connections were closed", n, err, p.srv.evicted.Load())
	}
}

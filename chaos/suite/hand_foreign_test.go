package suite

import (
	"context"
	"strconv"
	"testing"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestForeignClientsTellVersions: of go-redis and of rueidis the history knows all that it
// knows of other clients, and a write that nobody answered is written once.
func TestForeignClientsTellVersions(t *testing.T) {
	for name, open := range map[string]func(addrs []string) (hand, error){
		"go-redis": func(addrs []string) (hand, error) { return newGoRedisHand(addrs, "async"), nil },
		"rueidis":  func(addrs []string) (hand, error) { return newRueidisHand(addrs, "async") },
	} {
		t.Run(name, func(t *testing.T) {
			srv := clienttest.New(t)
			h, err := open([]string{srv.Addr()})
			if err != nil {
				t.Fatal(err)
			}
			defer h.close()
			answers(t, h, srv)
			endings(t, h, srv)
		})
	}
}

// answers are those of commands that a node answers.
func answers(t *testing.T, h hand, srv *clienttest.Server) {
	t.Helper()
	do := func(o chaos.Told, want chaos.Outcome) chaos.Told {
		t.Helper()
		if h.do(&o); o.Outcome != want {
			t.Fatalf("%+v", o)
		}
		return o
	}
	wrote := do(chaos.Told{Key: "{t}a", Kind: chaos.Set, Arg: []byte("one"), Deadline: srv.Now().UnixMilli() + 1000}, chaos.OK)
	if wrote.Version == 0 || wrote.Node != srv.Addr() {
		t.Errorf("%+v", wrote)
	}
	if o := do(chaos.Told{Key: "{t}a", Kind: chaos.Read}, chaos.OK); !o.Found || string(o.Value) != "one" || o.Version != wrote.Version {
		t.Errorf("%+v after %+v", o, wrote)
	}
	if o := do(chaos.Told{Key: "none", Kind: chaos.Read}, chaos.OK); o.Found || o.Version != 0 {
		t.Errorf("%+v", o)
	}
	swap := do(chaos.Told{Key: "{t}a", Kind: chaos.Set, Arg: []byte("two"), If: true, IfIs: wrote.Version}, chaos.OK)
	if swap.Version <= wrote.Version {
		t.Errorf("%+v after %+v", swap, wrote)
	}
	if o := do(chaos.Told{Key: "{t}a", Kind: chaos.Set, Arg: []byte("three"), If: true, IfIs: wrote.Version}, chaos.Refused); o.Word != "VERSION" {
		t.Errorf("%+v", o)
	}
	last := shardmap.Version(0)
	for n := range int64(2) {
		o := do(chaos.Told{Key: "n", Kind: chaos.Incr}, chaos.OK)
		if o.Int != n+1 || o.Version <= last {
			t.Errorf("%+v", o)
		}
		last = o.Version
	}
	a, none := &chaos.Told{Key: "{t}a", Kind: chaos.Read}, &chaos.Told{Key: "{t}none", Kind: chaos.Read}
	h.many([]*chaos.Told{a, none})
	if !a.Found || string(a.Value) != "two" || a.Version != swap.Version || a.Outcome != chaos.OK || none.Found || none.Outcome != chaos.OK {
		t.Errorf("%+v and %+v", a, none)
	}
	if o := do(chaos.Told{Key: "{t}a", Kind: chaos.Del}, chaos.OK); !o.Found || o.Version <= swap.Version {
		t.Errorf("%+v", o)
	}
	if o := do(chaos.Told{Key: "{t}a", Kind: chaos.Del}, chaos.OK); o.Found {
		t.Errorf("%+v", o)
	}
}

// endings are commands whose connection ends.
func endings(t *testing.T, h hand, srv *clienttest.Server) {
	t.Helper()
	for i, what := range []clienttest.Failure{clienttest.Ambiguous, clienttest.Dropped} {
		key := "ends" + strconv.Itoa(i)
		srv.Fail(key, 1, what)
		o := chaos.Told{Key: key, Kind: chaos.Incr}
		if h.do(&o); o.Outcome != chaos.Unknown {
			t.Errorf("%+v", o)
		}
		again := chaos.Told{Key: key, Kind: chaos.Incr}
		if h.do(&again); again.Outcome != chaos.OK || again.Int != int64(2-i) {
			t.Errorf("%+v: the write before was tried again", again)
		}
	}
	srv.Fail("read", 1, clienttest.Dropped)
	o := chaos.Told{Key: "read", Kind: chaos.Read}
	if h.do(&o); o.Outcome != chaos.OK {
		t.Errorf("a reading is not tried again: %+v", o)
	}
	srv.Fail("refused", 0, clienttest.Unavailable)
	o = chaos.Told{Key: "refused", Kind: chaos.Incr}
	if h.do(&o); o.Outcome != chaos.Refused || o.Word == "" {
		t.Errorf("%+v", o)
	}
	srv.Heal()
	srv.Close()
	h.do(&chaos.Told{Key: "gone", Kind: chaos.Incr}) // it may have left before the client saw the end
	o = chaos.Told{Key: "gone", Kind: chaos.Incr}
	if h.do(&o); o.Outcome != chaos.Refused {
		t.Errorf("a command that could not leave: %+v", o)
	}
}

// TestACommandThatNeverLeftIsNotWaitedFor: what a client gave up before it left does not
// take the answer of the next command of the same words.
func TestACommandThatNeverLeftIsNotWaitedFor(t *testing.T) {
	for _, kind := range []chaos.Kind{chaos.Read, chaos.Del} {
		e, calls := &ear{}, 0
		h := &foreignHand{ear: e, late: func(error) bool { return true }, end: func() {}}
		h.ask = func(_ context.Context, words []string, _ bool) (resp.Reply, error) {
			if calls++; calls == 1 {
				return resp.Reply{}, context.DeadlineExceeded
			}
			left := e.left(resp.AppendCommand(nil, words...), "node")
			e.answered(left, []shardmap.Version{7})
			return resp.Reply{Kind: '$', Text: []byte("value"), Int: 1}, nil
		}
		first, second := chaos.Told{Key: "k", Kind: kind}, chaos.Told{Key: "k", Kind: kind}
		h.do(&first)
		h.do(&second)
		if first.Outcome != chaos.Unknown || second.Outcome != chaos.OK || second.Version != 7 || calls != 2 {
			t.Errorf("%v: %+v, then %+v", kind, first, second)
		}
	}
}

// TestWhatWasNotHeardIsNotKnown: an answer whose version was not heard says nothing. A
// reading is asked for again, and of a write nobody knows what became of it.
func TestWhatWasNotHeardIsNotKnown(t *testing.T) {
	for _, kind := range []chaos.Kind{chaos.Read, chaos.Del} {
		e, calls := &ear{}, 0
		h := &foreignHand{ear: e, late: func(error) bool { return true }, end: func() {}}
		h.ask = func(_ context.Context, words []string, _ bool) (resp.Reply, error) {
			if calls++; calls > 1 {
				e.answered(e.left(resp.AppendCommand(nil, words...), "node"), []shardmap.Version{7})
			}
			return resp.Reply{Kind: '$', Text: []byte("value"), Int: 1}, nil
		}
		o := chaos.Told{Key: "k", Kind: kind}
		h.do(&o)
		want, asked := chaos.OK, 2
		if kind == chaos.Del {
			want, asked = chaos.Unknown, 1
		}
		if o.Outcome != want || calls != asked {
			t.Errorf("%v: %+v after %d calls", kind, o, calls)
		}
	}
}

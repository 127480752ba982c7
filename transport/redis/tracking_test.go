package redis

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// trackingScript is said by two clients, T who tracks and W who does not; what T
// receives must be what redis-server sends it.
const trackingScript = `
T HELLO 3
T CLIENT TRACKINGINFO
T CLIENT GETREDIR
T CLIENT CACHING YES
T CLIENT TRACKING
T CLIENT TRACKING MAYBE
T CLIENT TRACKING ON BOGUS
T CLIENT TRACKING ON PREFIX
T CLIENT TRACKING ON PREFIX a
T CLIENT TRACKING ON OPTIN OPTOUT
T CLIENT TRACKING ON BCAST OPTIN
T CLIENT TRACKING ON BCAST OPTOUT
T CLIENT TRACKING ON BCAST PREFIX ab PREFIX abc
T CLIENT TRACKING OFF
T CLIENT TRACKING ON
T CLIENT TRACKINGINFO
T CLIENT GETREDIR
T CLIENT TRACKING ON BCAST
T CLIENT CACHING YES
T CLIENT CACHING
W SET a 1
T GET a
W SET a 2
W SET a 3
T GET a
W DEL a
T GET a
W SET a 4
T STRLEN a
W APPEND a 5
T TTL a
W EXPIRE a 100
T EXISTS a
W PERSIST a
T MGET {t}1 {t}2
W MSET {t}1 x {t}2 y
T MGET {t}1 {t}2
W DEL {t}1 {t}2 {t}3
W DEL nothing
T GET n
W INCR n
T GET n
W GETDEL n
T GET n
W SET n 1 XX
W SET n 1 NX
T GET n
T SET n 2
T GET n
T INCR n
T SET q 1
W SET q 2
T GETEX q
W SET q 3
T GET q
W GETEX q EX 100
T GET q
W EXPIRE q -1
T GET q
T PING
W FLUSHALL
T GET q
T FLUSHALL
T CLIENT TRACKING ON NOLOOP
T CLIENT TRACKINGINFO
T GET q
T SET q 1
W SET q 2
T GET q
W SET q 3
T CLIENT TRACKING ON OPTIN
T CLIENT TRACKING OFF
T CLIENT TRACKING ON OPTIN
T CLIENT TRACKING ON OPTOUT
T CLIENT TRACKINGINFO
T GET q
W SET q 4
T CLIENT CACHING NO
T CLIENT CACHING PERHAPS
T CLIENT CACHING YES
T CLIENT TRACKINGINFO
T GET q
T CLIENT TRACKINGINFO
W SET q 5
T GET q
W SET q 6
T CLIENT TRACKING OFF
T CLIENT TRACKING ON OPTOUT
T GET q
W SET q 7
T CLIENT CACHING YES
T CLIENT CACHING NO
T CLIENT TRACKINGINFO
T GET q
W SET q 8
T GET q
W SET q 9
T CLIENT TRACKING OFF
T GET q
W SET q 10
T CLIENT TRACKING ON BCAST PREFIX ab PREFIX cd NOLOOP
T CLIENT TRACKINGINFO
T CLIENT TRACKING ON BCAST PREFIX abc
T CLIENT TRACKING ON BCAST PREFIX x PREFIX x
T CLIENT TRACKING ON BCAST PREFIX ef NOLOOP
T CLIENT TRACKINGINFO
T CLIENT TRACKING ON
W SET abc 1
W SET xyz 1
W SET ef 1
W SET a 1
T SET abc 2
W DEL abc
W FLUSHALL
T CLIENT TRACKING OFF
T CLIENT TRACKING ON BCAST
T CLIENT TRACKING ON OPTIN
T CLIENT CACHING YES
W SET anything 1
T SET anything 2
T RESET
T CLIENT TRACKINGINFO
W SET anything 3
T CLIENT TRACKING ON
T GET anything
W SET anything 4
T HELLO 3
W SET anything 5
T GET anything
W SET anything 6
`

func TestTrackingIsThatOfRedis(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	ours := map[byte]*peer{'T': dial(t, addr), 'W': dial(t, addr)}
	theirs := map[byte]*peer{'T': dial(t, real), 'W': dial(t, real)}
	for _, line := range strings.Split(strings.TrimSpace(trackingScript), "\n") {
		got, want := sayTracked(ours, line), sayTracked(theirs, line)
		if strings.HasPrefix(line, "T HELLO") { // the fields differ
			got, want = got[:2], want[:2]
			got = strings.Replace(got, "%8", "%7", 1)
		}
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}

// sayTracked says a line and gives all that T then receives.
func sayTracked(p map[byte]*peer, line string) (received string) {
	tracker := p['T']
	p[line[0]].send(line[2:] + "\r\n")
	if line[0] == 'W' {
		p['W'].raw()
	}
	for line[0] == 'T' { // Redis sends what BCAST collected after the pipeline
		frame := tracker.raw()
		if received += frame; frame[0] != '>' {
			break
		}
	}
	tracker.send("ECHO end\r\n")
	for {
		frame := tracker.raw()
		if frame == "$3\r\nend\r\n" {
			return received
		}
		received += frame
	}
}

func TestAnIdleConnectionIsPushedTo(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	reader, writer := dial(t, addr), dial(t, addr)
	reader.do("HELLO", "3")
	reader.do("CLIENT", "TRACKING", "ON")
	for i := range 100 {
		reader.do("GET", "k")
		writer.do("SET", "k", strconv.Itoa(i))
		reader.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	}
}

// A value that a reader was given may be cached until its invalidation. So no reply
// may hold a value that an invalidation before it made old, and none may follow newer
// ones of the same shard before the invalidation: what is in the cache would be older
// than what the client saw.
func TestAnInvalidationStandsBetweenTheOldAndTheNew(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	reader := dial(t, addr)
	reader.do("HELLO", "3")
	reader.do("CLIENT", "TRACKING", "ON")
	var stop atomic.Bool
	var wg sync.WaitGroup
	writer := dial(t, addr)
	wg.Add(1)
	go func() {
		defer wg.Done()
		for n := 1; !stop.Load(); n++ { // {k}b is never above {k}a
			writer.send(fmt.Sprintf("SET {k}a %d\r\nSET {k}b %d\r\n", n, n))
			writer.want("+OK\r\n+OK\r\n")
		}
	}()
	const depth = 16
	cached, invalidations := -1, 0
	for deadline := time.Now().Add(700 * time.Millisecond); time.Now().Before(deadline); {
		reader.send(strings.Repeat("GET {k}a\r\nGET {k}b\r\n", depth))
		for replies := 0; replies < 2*depth; {
			v, err := resp.ReadReply(reader.r)
			if err != nil {
				t.Fatal(err)
			}
			if v.Kind == '>' {
				invalidations++
				for _, k := range v.Items[1].Items {
					if string(k.Text) == "{k}a" {
						cached = -1
					}
				}
				continue
			}
			n, _ := strconv.Atoi(string(v.Text))
			if replies%2 == 0 { // the cache keeps the first value it is given
				if cached < 0 {
					cached = n
				}
				if n != cached {
					t.Fatalf("{k}a is %d, but %d was cached and not taken back", n, cached)
				}
			}
			if cached >= 0 && cached < n {
				t.Fatalf("{k}b is %d, so {k}a has changed, but %d was not taken back", n, cached)
			}
			replies++
		}
	}
	stop.Store(true)
	wg.Wait()
	if invalidations < 100 {
		t.Errorf("only %d invalidations came", invalidations)
	}
}

func TestAClientThatDoesNotTakeItsPushesIsClosed(t *testing.T) {
	cfg := testConfig()
	s, addr := start(t, cfg, newMemory())
	deaf, writer := dial(t, addr), dial(t, addr)
	deaf.do("HELLO", "3")
	deaf.do("CLIENT", "TRACKING", "ON", "BCAST")
	key := strings.Repeat("k", 30<<10)
	most := int64(0)
	for range 4000 {
		writer.do("SET", key, "1")
		most = max(most, s.buffered.Load())
		if s.evicted.Load() > 0 {
			break
		}
	}
	if s.evicted.Load() != 1 {
		t.Fatal("a client that takes nothing is not closed")
	}
	if most > 4*pushMax {
		t.Errorf("%d bytes were buffered for it", most)
	}
	eventually(t, func() bool { return s.Clients() == 1 })
}

func TestTrackedKeysAreBounded(t *testing.T) {
	cfg := testConfig()
	cfg.TrackedMax = 10
	s, addr := start(t, cfg, newMemory())
	p := dial(t, addr)
	p.do("HELLO", "3")
	p.do("CLIENT", "TRACKING", "ON")
	told := map[string]bool{}
	for i := range 100 { // one slot: a table that holds only one key is let be
		p.send(fmt.Sprintf("GET {t}%d\r\n", i))
		for {
			v, err := resp.ReadReply(p.r)
			if err != nil {
				t.Fatal(err)
			}
			if v.Kind != '>' {
				break
			}
			told[string(v.Items[1].Items[0].Text)] = true
		}
	}
	p.send("PING\r\n")
	for v, err := resp.ReadReply(p.r); v.Kind == '>'; v, err = resp.ReadReply(p.r) {
		if err != nil {
			t.Fatal(err)
		}
		told[string(v.Items[1].Items[0].Text)] = true
	}
	if s.Tracked() != 10 || len(told) != 90 {
		t.Errorf("%d keys are tracked, %d were taken back; want 10 and 90", s.Tracked(), len(told))
	}
	p.do("CLIENT", "TRACKING", "OFF")
	if s.Tracked() != 0 {
		t.Errorf("%d keys are tracked for nobody", s.Tracked())
	}
}

func TestALostLeaseTakesBackWhatWasRead(t *testing.T) {
	m := newMemory()
	s, addr := start(t, testConfig(), m)
	reader, listener, few := dial(t, addr), dial(t, addr), dial(t, addr)
	for _, p := range []*peer{reader, listener, few} {
		p.do("HELLO", "3")
	}
	reader.do("CLIENT", "TRACKING", "ON")
	few.do("CLIENT", "TRACKING", "ON")
	listener.do("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "x")
	reader.do("GET", "{a}1")
	few.do("GET", "b")
	in := func(key string) {
		s.Untrack([]shardmap.ShardID{m.routes.Layout().ShardOf(shardmap.SlotOf([]byte(key)))})
	}
	in("{a}")
	reader.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\n{a}1\r\n")
	listener.want(invalidateAll)
	in("{a}") // nothing is left
	for i := range lostKeys + 1 {
		reader.do("GET", fmt.Sprintf("{a}%d", i))
	}
	in("{a}")
	reader.want(invalidateAll)
	few.want(invalidateAll)
	in("b")
	few.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nb\r\n")
}

// What a pipeline said about tracking is said again when it is run again.
func TestTrackingIsTakenBackWithThePipeline(t *testing.T) {
	m := newMemory()
	stale := 0
	m.commit = func() error {
		if stale > 0 {
			stale--
			return ErrStale
		}
		return nil
	}
	s, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("HELLO", "3")
	on := "CLIENT TRACKING ON BCAST PREFIX a\r\nGET k\r\n"
	for range 2 {
		m.mu.Lock()
		stale = 2
		m.mu.Unlock()
		p.send(on)
		p.want("+OK\r\n_\r\n")
		m.mu.Lock()
		stale = 1
		m.mu.Unlock()
		p.send("CLIENT TRACKING OFF\r\nGET k\r\n")
		p.want("+OK\r\n_\r\n")
		if n := s.tracker.trackers(); n != 0 {
			t.Errorf("%d connections track", n)
		}
	}
	p.send(on + "SET a 1\r\n")
	p.want("+OK\r\n_\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n")
}

// TestAConnectionThatWaitsIsTold: a command that waits, perhaps for ever, holds no
// invalidation back; and one that reads when its wait is over is told of later changes
// behind its reply.
func TestAConnectionThatWaitsIsTold(t *testing.T) {
	const taken = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\n{a}1\r\n"
	m := newMemory()
	s, addr := start(t, testConfig(), m)
	shard := m.routes.Layout().ShardOf(shardmap.SlotOf([]byte("{a}")))
	parked, release, blocked := make(chan struct{}), make(chan struct{}), true
	m.again = func(key []byte) error {
		if blocked && string(key) == "{a}2" {
			return ErrAgain
		}
		return nil
	}
	m.park = func() { close(parked); <-release; blocked = false }
	for name, c := range map[string]struct {
		says  string
		under func() // waits until the command waits
		end   func(p *peer)
		want  string
	}{
		"WAIT": {
			"WAIT 1 0\r\n", func() { eventually(t, func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.waits > 0 }) },
			func(*peer) { m.mu.Lock(); m.holders = 1; m.mu.Unlock() }, ":1\r\n",
		},
		"a parked read": {"GET {a}2\r\n", func() { <-parked }, func(*peer) { close(release) }, "_\r\n"},
		"CLIENT PAUSE": {
			"CLIENT PAUSE 60000\r\nGET {a}3\r\n", func() { eventually(t, func() bool { return s.blocked.Load() > 0 }) },
			func(*peer) { dial(t, addr).do("CLIENT", "UNPAUSE") }, "_\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, addr)
			p.do("HELLO", "3")
			p.do("CLIENT", "TRACKING", "ON")
			p.do("GET", "{a}1")
			p.send(c.says)
			if name == "CLIENT PAUSE" {
				p.want("+OK\r\n")
			}
			c.under()
			s.Changed(shard, []byte("{a}1"), 0)
			p.want(taken)
			c.end(p)
			p.want(c.want)
		})
	}
}

// TestWhatIsLostIsTakenBackBeforeAnyReply: a process that was stopped finds its
// connections' commands before it has looked at its leases. A PONG must not come before
// what it then takes back.
func TestWhatIsLostIsTakenBackBeforeAnyReply(t *testing.T) {
	m := newMemory()
	s, addr := start(t, testConfig(), m)
	shard := m.routes.Layout().ShardOf(shardmap.SlotOf([]byte("k")))
	p := dial(t, addr)
	p.do("HELLO", "3")
	p.do("CLIENT", "TRACKING", "ON")
	p.do("GET", "k")
	m.mu.Lock()
	m.awake = func() { s.Untrack([]shardmap.ShardID{shard}) }
	m.mu.Unlock()
	p.send("PING\r\n")
	p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n+PONG\r\n")
}

package client

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// losses asks what became of this client's writes after a shard changed hands.
//
// Every connection knows the token of its newest writes (see conn.askTokenLocked). When a
// connection ends or the map changes, what its token names is judged by all nodes until
// each shard in it is durable or lost. What survives of an epoch is a prefix, so
// the highest version of a shard and epoch speaks for the others: what is open is
// bounded by shards and epochs, not by how often the map changes while nobody knows.
// What stays open: a write whose answer arrived and whose token did not, because
// the connection broke between the two; both travel in one flush.
type losses struct {
	tell   func(*LostWritesError) // Config.OnLost, may be nil
	wake   chan struct{}
	untold atomic.Int32 // len(lost), for the hot path

	mu     sync.Mutex // guards everything below
	open   map[writes]*inquiry
	lost   []*LostWritesError // not yet given to a call
	layout shardmap.Layout    // zero until a node told
	ledger *ledger            // rules
}

// writes are those to one shard in one epoch.
type writes struct {
	cluster string
	shard   shardmap.ShardID
	epoch   uint32
}

// inquiry is a version without a final word yet.
type inquiry struct {
	version     shardmap.Version
	since, next time.Time
	wait        time.Duration // between the last two times that nodes were asked
}

// While a verdict is open it is asked for every judgeEvery at first and every
// judgeRarely later, however often the map changes meanwhile, for judgeFor: longer
// than groups stay without a holder while anybody looks after them.
const (
	judgeEvery  = 250 * time.Millisecond
	judgeRarely = 5 * time.Second
	judgeFor    = 10 * time.Minute
)

func newLosses(tell func(*LostWritesError)) *losses {
	return &losses{
		tell: tell, wake: make(chan struct{}, 1), open: map[writes]*inquiry{},
		ledger: newLedger(),
	}
}

// take gives the loss that a call on the slot must answer, if there is one. While
// the layout is not known every call is on the shard.
func (l *losses) take(slot shardmap.Slot) *LostWritesError {
	if l.untold.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.lost {
		if l.layout.Shards == 0 || l.layout.ShardOf(slot) == e.Shard {
			l.lost = append(l.lost[:i:i], l.lost[i+1:]...)
			l.untold.Store(int32(len(l.lost)))
			return e
		}
	}
	return nil
}

// add wants a token judged. A word that is none is of a server whose words this client
// could not judge either.
func (l *losses) add(token string) {
	cluster, marks, ok := parseToken(token)
	if !ok || len(marks) == 0 {
		return
	}
	now := time.Now()
	l.mu.Lock()
	for _, m := range marks {
		key := writes{cluster, m.shard, m.version.Epoch()}
		if q := l.open[key]; q == nil || q.version < m.version {
			l.open[key] = &inquiry{version: m.version, since: now, next: now}
		} else {
			q.next = now
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// judgeNewest wants the newest writes of all connections judged.
func (c *Client) judgeNewest() {
	for _, k := range c.conns() {
		c.losses.add(k.newestToken())
	}
}

// judgeLoop is the goroutine that asks.
func (c *Client) judgeLoop(ctx context.Context) {
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.losses.wake:
		case <-tick.C:
		}
		for _, token := range c.losses.due(time.Now()) {
			c.learnLayout(ctx)
			c.judge(ctx, token)
		}
	}
}

// marksAtOnce bounds what one AEGIS.CHECK asks for.
const marksAtOnce = 1024

// due gives tokens of what is to be asked for now, and plans when next.
func (l *losses) due(now time.Time) (tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	marks := map[string][]mark{} // by cluster
	for w, q := range l.open {
		switch {
		case now.Sub(q.since) > judgeFor:
			delete(l.open, w)
		case !now.Before(q.next):
			q.wait = min(judgeRarely, max(judgeEvery, 2*q.wait))
			q.next = now.Add(q.wait)
			marks[w.cluster] = append(marks[w.cluster], mark{shard: w.shard, version: q.version})
		}
	}
	for cluster, all := range marks {
		for some := range slices.Chunk(merged(all), marksAtOnce) {
			tokens = append(tokens, appendToken(cluster, some))
		}
	}
	return tokens
}

// waiting is how many versions have no final word yet.
func (l *losses) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// settle takes what was said of a token, forgets what has its final word, and gives the
// losses that nobody was told of.
func (l *losses) settle(token string, marks []mark) []*LostWritesError {
	cluster, _, _ := parseToken(token)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range marks {
		key := writes{cluster, m.shard, m.version.Epoch()}
		if q := l.open[key]; q != nil && q.version == m.version && m.word >= verdictDurable {
			delete(l.open, key)
		}
	}
	lost := l.ledger.judge(marks)
	l.lost = append(l.lost, lost...)
	l.untold.Store(int32(len(l.lost)))
	return lost
}

// judge asks all nodes of the map about one token.
func (c *Client) judge(ctx context.Context, token string) {
	var marks []mark
	for _, r := range c.askAll(ctx, "AEGIS.CHECK", token) {
		m, _ := parseVerdicts(r)
		marks = append(marks, m...)
	}
	for _, e := range c.losses.settle(token, merged(marks)) {
		c.tellLost(e)
		if c.losses.tell != nil {
			c.losses.tell(e)
		}
	}
}

// askAll puts one question to all nodes of the map at once and gives the answers
// that came.
func (c *Client) askAll(ctx context.Context, words ...string) []resp.Reply {
	v := c.view.Load()
	if v == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	answers := make([]resp.Reply, len(v.nodes))
	var wg sync.WaitGroup
	for i, n := range v.nodes {
		wg.Go(func() {
			var w patience
			w.begin(ctx, c.cfg.DialTimeout)
			defer w.end()
			if a, err := n.roundTrip(&w, &command{op: opControl, words: words}, 0); err == nil {
				answers[i] = a.Reply
			}
		})
	}
	wg.Wait()
	return answers
}

// learnLayout asks how many shards the cluster has, until somebody has told.
func (c *Client) learnLayout(ctx context.Context) {
	l := c.losses
	l.mu.Lock()
	known := l.layout.Shards != 0
	l.mu.Unlock()
	if known {
		return
	}
	if v := c.view.Load(); v != nil && v.table.layout.Shards != 0 {
		l.mu.Lock()
		l.layout = v.table.layout
		l.mu.Unlock()
		return
	}
	for _, r := range c.askAll(ctx, "CONFIG", "GET", "num*hards") {
		if layout, ok := parseLayout(r); ok {
			l.mu.Lock()
			l.layout = layout
			l.mu.Unlock()
			return
		}
	}
}

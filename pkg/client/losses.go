package client

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// losses asks what became of this client's writes after a shard changed hands.
//
// Every connection knows the token of its newest writes (see conn.askTokenLocked),
// an opaque word of the server. When a connection ends or the map changes, its
// token is judged by all nodes until each shard in it is durable or lost.
// What stays open: a write whose answer arrived and whose token did not, because
// the connection broke between the two; both travel in one flush.
type losses struct {
	tell   func(*LostWritesError) // Config.OnLost, may be nil
	wake   chan struct{}
	untold atomic.Int32 // len(lost), for the hot path

	mu     sync.Mutex         // guards everything below
	open   map[string]int     // token -> rounds it was judged without an end
	lost   []*LostWritesError // not yet given to a call
	layout shardmap.Layout    // zero until a node told
	ledger *ledger            // rules
}

// judgeEvery is the pace of asking while a verdict is open, judgeRounds how often.
const (
	judgeEvery  = 250 * time.Millisecond
	judgeRounds = 120
)

func newLosses(tell func(*LostWritesError)) *losses {
	return &losses{
		tell: tell, wake: make(chan struct{}, 1), open: map[string]int{},
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

// add wants a token judged.
func (l *losses) add(token string) {
	if token == "" {
		return
	}
	l.mu.Lock()
	l.open[token] = 0
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
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
		for _, token := range c.losses.waiting() {
			c.learnLayout(ctx)
			c.judge(ctx, token)
		}
	}
}

func (l *losses) waiting() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	tokens := make([]string, 0, len(l.open))
	for t := range l.open {
		tokens = append(tokens, t)
	}
	return tokens
}

// judge asks all nodes of the map about one token.
func (c *Client) judge(ctx context.Context, token string) {
	var marks []mark
	answered := false // a token without shards is final as soon as anyone has read it
	for _, r := range c.askAll(ctx, "AEGIS.CHECK", token) {
		if m, ok := parseVerdicts(r); ok {
			marks, answered = append(marks, m...), true
		}
	}
	l := c.losses
	l.mu.Lock()
	lost, final := l.ledger.judge(merged(marks))
	if l.open[token]++; final && answered || l.open[token] > judgeRounds {
		delete(l.open, token)
	}
	l.lost = append(l.lost, lost...)
	l.untold.Store(int32(len(l.lost)))
	l.mu.Unlock()
	for _, e := range lost {
		if l.tell != nil {
			l.tell(e)
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
			if r, err := n.roundTrip(&w, &command{words: words}, 0); err == nil {
				answers[i] = r
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
	for _, r := range c.askAll(ctx, "CONFIG", "GET", "num*hards") {
		for i := 0; i+1 < len(r.Items); i += 2 {
			name := strings.ToLower(strings.ReplaceAll(string(r.Items[i].Text), "-", ""))
			n, err := strconv.Atoi(string(r.Items[i+1].Text))
			layout := shardmap.Layout{Shards: n, Groups: 1}
			if name == "numshards" && err == nil && layout.Validate() == nil {
				l.mu.Lock()
				l.layout = layout
				l.mu.Unlock()
				return
			}
		}
	}
}

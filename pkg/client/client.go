package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Client is a connection to a cluster. It may be used by any number of goroutines.
type Client struct {
	cfg     Config
	refused error     // of a configuration that New refused; every call answers it
	begun   time.Time // zero of the client's clock

	view  atomic.Pointer[view] // nil until the first map came
	calls atomic.Uint64        // calls begun, for the retry budget
	ended atomic.Uint64        // of them, those that are over
	tick  atomic.Int64         // keeper ticks, the clock of stalled connections

	counts  counts
	leaving atomic.Bool     // Shutdown has begun
	ctx     context.Context // ends at Close; for the client's own goroutines only
	cancel  context.CancelFunc
	workers sync.WaitGroup
	refresh refresher
	losses  *losses                            // nil unless Config.Losses
	pushes  map[string]func(*conn, resp.Reply) // by first word; written in New only
	flights flights                            // of GetOrLoad
	near    *near                              // nil unless Config.Near

	mu      sync.Mutex // guards everything below; never held across I/O
	started bool       // keeper and refresher run
	closed  bool
	nodes   map[string]*node
	live    map[*conn]int // keeper ticks since the map last named the connection's node
	budget  budget
}

// view is the map with the nodes it names: nodes[i] is at table.nodes[i]. copies are they
// and the nodes that lead nothing.
type view struct {
	table         *table
	nodes, copies []*node
}

// New makes a client. It connects when the first call needs it, so it succeeds
// while no node is up. It never returns nil: beside the error of a refused configuration
// stands a client whose every call answers that error.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.filled()
	c := &Client{cfg: cfg, refused: err, begun: time.Now(), nodes: map[string]*node{}, live: map[*conn]int{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.pushes = map[string]func(*conn, resp.Reply){"aegis-map": c.hearMap, "aegis-lost": c.hearLost}
	c.refresh.init()
	c.budget.tokens = budgetBurst
	if cfg.Losses {
		c.losses = newLosses(cfg.OnLost)
	}
	if cfg.Near.MaxBytes > 0 {
		c.near = newNear(c, cfg.Near)
		c.pushes["invalidate"] = c.near.hear
	}
	return c, err
}

// Get gives the value of a key: nil and ErrNotFound itself when there is none.
func (c *Client) Get(ctx context.Context, key string) ([]byte, error) {
	if c.near.keeps(key) {
		return c.near.read(ctx, key, nil)
	}
	return c.usual().Get(ctx, key)
}

// GetInto appends the value of a key to dst. Beside the growth of dst it allocates
// nothing. When there is no such key, or on any other error, dst comes back as it was.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) ([]byte, error) {
	if c.near.keeps(key) {
		return c.near.read(ctx, key, dst)
	}
	return c.usual().GetInto(ctx, key, dst)
}

// Set stores a value without a time to live. An earlier one is dropped.
func (c *Client) Set(ctx context.Context, key string, value []byte) error {
	_, err := c.do(ctx, &command{op: opSet, key: key, value: value})
	return err
}

// SetWithTTL stores a value that disappears after ttl milliseconds.
func (c *Client) SetWithTTL(ctx context.Context, key string, value []byte, ttl int64) error {
	if ttl <= 0 && c.refused == nil {
		return &OpError{Op: "SET", Key: key, Err: fmt.Errorf("client: time to live is %d ms, it must be positive", ttl)}
	}
	_, err := c.do(ctx, &command{op: opSet, key: key, value: value, set: setWords{expiry: expiryPX, at: ttl}})
	return err
}

// Delete removes a key. It is no error when there is none.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.do(ctx, &command{op: opDel, key: key})
	return err
}

// Close ends all connections and waits for the client's goroutines. Calls that wait
// end with ErrClosed; a write among them whose bytes had left ends with ErrAmbiguous
// as well.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	for _, k := range c.conns() {
		k.fail(ErrClosed)
	}
	c.workers.Wait()
	return c.refused
}

// Shutdown lets the calls under way come to their ends, refuses new ones with ErrClosed,
// and closes the client when the last is over or ctx ends, which it then answers.
func (c *Client) Shutdown(ctx context.Context) error {
	c.leaving.Store(true)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.calls.Load() != c.ended.Load() {
		select {
		case <-ctx.Done():
			_ = c.Close()
			return ctx.Err()
		case <-tick.C:
		}
	}
	return c.Close()
}

// begin counts n calls as begun; their number goes to c.ended when they are over.
// Counting comes first, so that Shutdown waits for whoever it does not refuse.
func (c *Client) begin(n int) error {
	c.calls.Add(uint64(n))
	if c.leaving.Load() {
		c.ended.Add(uint64(n))
		return ErrClosed
	}
	return nil
}

// do runs one command to its end.
func (c *Client) do(ctx context.Context, cmd *command) (answer, error) {
	if c.refused != nil {
		return answer{}, c.refused
	}
	st := callState{op: cmd.op}
	slot := shardmap.SlotOfString(cmd.key)
	if len(c.cfg.Hooks) == 0 {
		return c.run(ctx, cmd, &st, slot)
	}
	begun := time.Now()
	op, told := c.before(ctx, cmd, slot)
	a, err := c.run(told[len(told)-1], cmd, &st, slot)
	c.after(op, told, &st, &a, err, time.Since(begun))
	return a, err
}

// run is do without its hooks. The answer's node is set beside an error too.
func (c *Client) run(ctx context.Context, cmd *command, st *callState, slot shardmap.Slot) (answer, error) {
	var w patience
	w.begin(ctx, c.cfg.Timeout)
	defer w.end()
	err := c.begin(1)
	if err != nil {
		return answer{}, c.opError(&w, cmd, st, "", err)
	}
	defer c.ended.Add(1)
	err = c.admit(cmd, slot)
	if cause := w.over(); err == nil && cause != nil {
		err = st.expired(nil, cause)
	}
	var a answer
	if err == nil {
		if a, err = c.attempt(&w, cmd, st, slot, cmd.at); err == nil {
			return a, nil
		}
		if a, err = c.again(&w, cmd, st, slot, a.node, err); err == nil {
			return a, nil
		}
	}
	return answer{node: a.node}, c.opError(&w, cmd, st, a.node, err)
}

// admit refuses what need not be sent.
func (c *Client) admit(cmd *command, slot shardmap.Slot) error {
	switch {
	case len(cmd.key) > c.cfg.MaxKeyBytes:
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, len(cmd.key), c.cfg.MaxKeyBytes)
	case len(cmd.value) > c.cfg.MaxValueBytes:
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(cmd.value), c.cfg.MaxValueBytes)
	case c.losses != nil:
		if lost := c.losses.take(slot); lost != nil {
			return lost
		}
	}
	return nil
}

// opError puts what is known of the call around the cause of its end.
func (c *Client) opError(w *patience, cmd *command, st *callState, node string, err error) error {
	return &OpError{Op: cmd.name(), Key: cmd.key, Node: node, Attempts: st.attempts, Elapsed: w.elapsed(), Err: plainVersion(err)}
}

// again repeats a failed command as the rules in retry.go say. The answer's node is
// the one asked last, also beside an error.
func (c *Client) again(w *patience, cmd *command, st *callState, slot shardmap.Slot, asked string, err error) (answer, error) {
	for {
		if cause := w.over(); cause != nil {
			// A node that lost its lease and hears of no other holder keeps a call for longer than
			// its caller waits, and its refusal finds nobody: only this end of it says that the
			// slot may be served elsewhere. Who gave up for reasons of their own say nothing.
			if !errors.Is(cause, context.Canceled) {
				c.wantMap(false)
			}
			return answer{node: asked}, st.expired(err, cause)
		}
		s := c.cfg.Retry.next(st, err, asked, w.left(), c.random(), c.takeRetry)
		c.learn(s)
		if cmd.at != "" && s.addr != "" {
			s.err = err // the caller chose the node
		}
		if s.err != nil {
			return answer{node: asked}, s.err
		}
		if s.pause > 0 {
			if cause := w.pause(s.pause, c.ctx.Done()); cause != nil {
				return answer{node: asked}, st.expired(err, cause)
			}
		}
		to := orDefault(cmd.at, s.addr)
		if s.elsewhere && cmd.at == "" {
			to = c.other(asked)
		}
		cmd.asking = s.ask
		var a answer
		if a, err = c.attempt(w, cmd, st, slot, to); err == nil {
			return a, nil
		}
		asked = a.node
	}
}

// learn takes what a failed attempt says of the map.
func (c *Client) learn(s step) {
	switch {
	case s.err != nil:
	case s.moved || s.ask:
		c.counts.redirects.Add(1)
	default:
		c.counts.retries.Add(1)
	}
	if s.moved {
		c.moved(s.slot, s.addr)
	}
	if s.refresh {
		c.wantMap(s.moved)
	}
}

// attempt sends the command once, to addr or to the node of its slot. The answer's
// node is the one asked, also beside an error.
func (c *Client) attempt(w *patience, cmd *command, st *callState, slot shardmap.Slot, addr string) (answer, error) {
	st.attempts++
	n, err := c.nodeFor(w, slot, addr)
	if err != nil {
		return answer{}, err
	}
	if cmd.stale > 0 {
		if f := c.copyFor(slot, n); f != n {
			if a, done, err := c.fromFollower(w, cmd, slot, f); done {
				return a, err
			}
			st.attempts++
		}
		cmd.lane, cmd.stale, cmd.least = laneUsual, 0, 0
		begun := n.follower.begin(c)
		defer n.follower.end(c, begun)
	}
	var a answer
	if cmd.hedge && c.cfg.Hedge.After > 0 {
		a, err = c.hedged(w, cmd, int(slot), n)
	} else {
		a, err = n.roundTrip(w, cmd, int(slot))
	}
	a.node = n.addr
	if err == nil {
		if e := errorOf(a.Reply); e != nil {
			err = e
		}
	}
	return a, err
}

// roundTrip sends a command on one of the node's connections and waits for its answer.
func (n *node) roundTrip(w *patience, cmd *command, slot int) (answer, error) {
	c, k, err := n.begin(w, cmd, slot)
	if err != nil {
		return answer{}, err
	}
	return c.await(w, k, cmd)
}

// begin sends a command on one of the node's connections. All its errors are unsent.
func (n *node) begin(w *patience, cmd *command, slot int) (*conn, *call, error) {
	cmd.begun, cmd.until = w.begun, w.until
	l := n.line(slot, cmd.lane)
	for {
		c, err := n.conn(w, l)
		if err != nil {
			return nil, nil, err
		}
		k, room, err := c.send(cmd)
		if err == nil {
			return c, k, nil
		}
		if room == nil { // it has failed since we took it: the next one is dialed
			l.drop(c)
			continue
		}
		if err := w.wait(room); err != nil {
			return nil, nil, &unsentError{because(ErrOverloaded, err)}
		}
	}
}

// await waits for the answer to a call that was queued.
func (c *conn) await(w *patience, k *call, cmd *command) (answer, error) {
	if err := w.wait(k.done); err != nil {
		k.release()
		return answer{}, &brokenError{err}
	}
	a, err := k.answer, k.err
	a.conn = c
	if k.into && err == nil && a.Kind == '$' {
		cmd.dst = append(cmd.dst, a.Text...) // the text is the call's memory
		a.Text, a.Int = nil, int64(len(a.Text))
	}
	k.release()
	return a, err
}

// nodeFor is the node at addr, or of the slot when addr is empty, waiting for the first map.
func (c *Client) nodeFor(w *patience, slot shardmap.Slot, addr string) (*node, error) {
	if addr != "" {
		return c.node(addr)
	}
	for {
		if v := c.view.Load(); v != nil {
			if at := v.table.slots[slot]; at != noNode {
				return v.nodes[at], nil
			}
		}
		if err := c.awaitMap(w); err != nil {
			return nil, &unsentError{err}
		}
	}
}

// node is the node at an address, made when it is new.
func (c *Client) node(addr string) (*node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &unsentError{ErrClosed}
	}
	return c.nodeLocked(addr), nil
}

func (c *Client) nodeLocked(addr string) *node {
	n := c.nodes[addr]
	if n == nil {
		n = newNode(c, addr)
		c.nodes[addr] = n
	}
	return n
}

// other is the address of a node to try instead of the one just asked, "" for the
// slot's own: one that is connected if there is any, the one asked if it
// alone is, else any.
func (c *Client) other(asked string) string {
	v := c.view.Load()
	if v == nil {
		return ""
	}
	best, first := "", rand.IntN(len(v.nodes))
	for i := range v.nodes {
		n := v.nodes[(first+i)%len(v.nodes)]
		switch {
		case n.addr == asked && n.connected() && best == "":
			best = asked
		case n.addr != asked && n.connected():
			return n.addr
		}
	}
	if best == "" && len(v.nodes) > 1 {
		for best = asked; best == asked; {
			best = v.nodes[rand.IntN(len(v.nodes))].addr
		}
	}
	return best
}

// moved applies a MOVED answer to the map.
func (c *Client) moved(slot shardmap.Slot, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.view.Load(); v != nil {
		c.showLocked(v.table.moved(slot, addr))
	}
}

// showLocked publishes a table.
func (c *Client) showLocked(t *table) {
	v := &view{table: t}
	for _, addr := range t.nodes {
		v.nodes = append(v.nodes, c.nodeLocked(addr))
	}
	v.copies = v.nodes
	for _, addr := range t.others {
		v.copies = append(v.copies[:len(v.copies):len(v.copies)], c.nodeLocked(addr))
	}
	c.view.Store(v)
}

func (c *Client) takeRetry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.budget.take(c.cfg.Retry, c.calls.Load(), c.now())
	if !took {
		c.counts.pauses.Add(1)
	}
	return took
}

// start runs one goroutine of the client, unless it is closed.
func (c *Client) start(run func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.workers.Go(func() { run(c.ctx) })
	if !c.started {
		c.started = true
		c.workers.Go(c.keep)
		c.workers.Go(c.refreshLoop)
		if c.losses != nil {
			c.workers.Go(func() { c.judgeLoop(c.ctx) })
		}
	}
	return true
}

// adopt starts the loops of a new connection of a line, unless the client is closed.
func (c *Client) adopt(k *conn, n *node, l *line) bool {
	k.tokens, k.lane = c.losses != nil && l.lane != laneCopies, l.lane
	k.life = n.lives.Load()
	k.ears = ears{push: c.pushed, epoch: c.heardEpoch}
	if c.near != nil {
		k.ears.wrote = c.near.store.forget
	}
	c.mu.Lock()
	c.live[k] = 0
	c.mu.Unlock()
	ok := c.start(func(context.Context) { c.read(k, n, l) }) && c.start(func(context.Context) { k.writeLoop() })
	if !ok {
		k.fail(ErrClosed)
	} else if k.tracking && l.lane != laneCopies {
		c.near.follow(k)
	}
	return ok
}

// read is the reader goroutine of a connection and what is left to do after its end.
func (c *Client) read(k *conn, n *node, l *line) {
	k.readLoop()
	l.drop(k)
	if !n.connected() {
		n.lives.Add(1)
	}
	if k.failedBy(errStalled) {
		n.suspect(errStalled)
	}
	c.mu.Lock()
	delete(c.live, k)
	c.mu.Unlock()
	if c.losses != nil {
		c.losses.add(k.newestToken())
	}
}

// After an eighth of the time that ends a connection the map is asked for, again and
// again while the silence lasts: a stopped node's groups are served elsewhere long
// before the connection to it is given up.
const (
	ticksPerStall = 16
	ticksPerDoubt = 2
)

// keep is the client's housekeeper: it ends connections that owe answers and stay
// silent, and those of nodes that the map no longer names.
func (c *Client) keep() {
	t := time.NewTicker(max(c.cfg.StallTimeout/ticksPerStall, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-t.C:
		}
		c.tick.Add(1)
		for _, k := range c.conns() {
			switch {
			case k.stalled(ticksPerStall):
				k.fail(errStalled)
			case k.stalled(ticksPerDoubt):
				c.wantMap(false) // its lease may be passing on: let new calls know early
			}
		}
		c.retire()
	}
}

// errStalled is the error of a connection that owed answers for too long.
var errStalled = errors.New("client: no answer within Config.StallTimeout")

func (c *Client) conns() []*conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.live))
}

// retireAfter is how many keeper ticks a node may be in no map before its idle
// connections are closed.
const retireAfter = 8

// errRetired is the end of a connection to a node that the map does not name.
var errRetired = errors.New("client: node is not in the map")

// retire lets go of what the map no longer names.
func (c *Client) retire() {
	v := c.view.Load()
	if v == nil {
		return
	}
	var idle []*conn
	c.mu.Lock()
	for k := range c.live {
		c.live[k]++
		if v.table.names(k.addr) {
			c.live[k] = 0
		} else if c.live[k] > retireAfter && k.idle() {
			idle = append(idle, k)
		}
	}
	for addr, n := range c.nodes {
		if !n.connected() && !v.table.names(addr) {
			delete(c.nodes, addr)
		}
	}
	c.mu.Unlock()
	for _, k := range idle {
		k.fail(errRetired)
	}
}

// now is the client's clock.
func (c *Client) now() time.Duration { return time.Since(c.begun) }

func (c *Client) random() float64 { return rand.Float64() }

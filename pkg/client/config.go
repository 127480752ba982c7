package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"
)

// Config says where the cluster is and how long to wait. A zero field takes the
// value that DefaultConfig gives it; only Seeds has none.
type Config struct {
	// Seeds are client addresses, host:port, of any nodes. One is enough while it
	// lives; the others are found from it. A name is resolved at each dial.
	Seeds []string

	// Timeout ends a call whose context has no deadline. Shorter gives up inside a failover
	// (lease 600 ms + at most 1 s by default), longer keeps callers waiting.
	Timeout time.Duration
	// DialTimeout ends one attempt to connect, handshake included.
	DialTimeout time.Duration
	// StallTimeout declares a connection dead when answers are due and no byte came
	// for so long. It must be longer than the time a node parks a request (200 ms).
	StallTimeout time.Duration
	// RefreshEvery is the pace of map refreshes that nothing asked for.
	RefreshEvery time.Duration

	// ConnsPerNode is the number of multiplexed connections to each node. A key always
	// takes the same one. More help when one core cannot read the answers.
	ConnsPerNode int
	// MaxInflight bounds the calls that wait on one connection; further calls
	// wait for room, until their deadline.
	MaxInflight int
	// MaxQueueBytes bounds what is waiting to be written on one connection. A single
	// command is always taken, whatever its size.
	MaxQueueBytes int
	// MaxValueBytes refuses to store larger values (ErrTooLarge).
	MaxValueBytes int
	// MaxKeyBytes refuses longer keys (ErrTooLarge).
	MaxKeyBytes int

	// Retry is what repeated attempts may cost.
	Retry RetryPolicy

	// MaxStale lets followers answer reads (Get, GetInto, GetItem, MGet, Exists, TTL): what
	// an answer lacks was written less than MaxStale before the call began. 0, the
	// default, has leaseholders answer, which lack nothing; Client.Reads is the same for single
	// calls. A copy that cannot promise the bound, or takes too long, costs the call a way
	// more, never an error: the leaseholder is asked. The copy that seems to answer soonest
	// is taken. Half a second is a good bound: below 200 ms followers seldom know
	// enough. Needs aegis servers; others are asked as without it.
	MaxStale time.Duration

	// Hedge sends late reads (Get, GetInto) twice. Off unless its After is set.
	Hedge HedgePolicy

	// Username and Password go into HELLO or AUTH when Password is set.
	Username, Password string
	// Name is what CLIENT LIST and CLIENT GETNAME show.
	Name string
	// Durability is the ack level of this client's writes (async, majority, all, each
	// with +fsync behind it where nodes have a log); "" leaves the server's default. Needs an aegis server.
	Durability string

	// Losses makes the client ask what became of its writes when a shard changed
	// hands or a connection ended (AEGIS.TOKEN, AEGIS.CHECK). The next call on the
	// shard, before it is sent, answers ErrLostWrites once. It costs one AEGIS.TOKEN
	// per write to the socket that holds a SET or DEL. Servers without these
	// commands are not asked again.
	Losses bool
	// OnLost is told of every loss found, from a goroutine of the client; it must not
	// block nor call Close. Needs Losses.
	OnLost func(*LostWritesError)

	// Near keeps values that were read in this process, until the server tells that they
	// changed. Off unless its MaxBytes is set.
	Near NearConfig

	// Hooks are told of every operation, in their order before it and in the opposite
	// order after it.
	Hooks []Hook
	// Logger is told what befalls the client: nodes that stop answering and answer again,
	// maps taken, writes lost. nil tells nobody.
	Logger *slog.Logger

	// Dial replaces the TCP dialer, for tunnels and tests.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	bad error // why Open's target is refused
}

// RetryPolicy bounds repeated attempts. The number of attempts is bounded by the
// deadline only; their rate by a token bucket of all calls of a client: each call
// earns Ratio of a token and each second PerSecond, a retry costs one. A call that
// finds the bucket empty does not fail, it waits Cap before it tries again.
type RetryPolicy struct {
	Base      time.Duration // first pauses: random between 0 and Base, then doubled each time
	Cap       time.Duration // longest pause
	Ratio     float64       // tokens earned per call
	PerSecond float64       // tokens earned per second
}

// DefaultConfig is a complete configuration for a cluster of which the given
// nodes are members.
func DefaultConfig(seeds []string) Config {
	return Config{
		Seeds:         seeds,
		Timeout:       3 * time.Second,
		DialTimeout:   time.Second,
		StallTimeout:  time.Second,
		RefreshEvery:  time.Minute,
		ConnsPerNode:  2,
		MaxInflight:   4096,
		MaxQueueBytes: 1 << 20,
		MaxValueBytes: 64 << 20,
		MaxKeyBytes:   64 << 10,
		Retry:         RetryPolicy{Base: 4 * time.Millisecond, Cap: 200 * time.Millisecond, Ratio: 0.1, PerSecond: 10},
		Name:          "aegiskv-go",
	}
}

// filled is the configuration with defaults in its zero fields, or why it is refused.
func (c Config) filled() (Config, error) {
	if c.bad != nil {
		return c, c.bad
	}
	d := DefaultConfig(c.Seeds)
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"Timeout", &c.Timeout, d.Timeout},
		{"DialTimeout", &c.DialTimeout, d.DialTimeout},
		{"StallTimeout", &c.StallTimeout, d.StallTimeout},
		{"RefreshEvery", &c.RefreshEvery, d.RefreshEvery},
		{"Retry.Base", &c.Retry.Base, d.Retry.Base},
		{"Retry.Cap", &c.Retry.Cap, d.Retry.Cap},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return c, fmt.Errorf("%w: %s is %v, it must be positive", ErrConfig, f.name, *f.v)
		}
	}
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"ConnsPerNode", &c.ConnsPerNode, d.ConnsPerNode},
		{"MaxInflight", &c.MaxInflight, d.MaxInflight},
		{"MaxQueueBytes", &c.MaxQueueBytes, d.MaxQueueBytes},
		{"MaxValueBytes", &c.MaxValueBytes, d.MaxValueBytes},
		{"MaxKeyBytes", &c.MaxKeyBytes, d.MaxKeyBytes},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return c, fmt.Errorf("%w: %s is %d, it must be positive", ErrConfig, f.name, *f.v)
		}
	}
	if c.Retry.Ratio == 0 {
		c.Retry.Ratio = d.Retry.Ratio
	}
	if c.Retry.PerSecond == 0 {
		c.Retry.PerSecond = d.Retry.PerSecond
	}
	if c.Hedge.MaxExtra == 0 {
		c.Hedge.MaxExtra = defaultMaxExtra
	}
	if c.Hedge.After < 0 || c.Hedge.MaxExtra < 0 {
		return c, fmt.Errorf("%w: Hedge.After and Hedge.MaxExtra must not be negative", ErrConfig)
	}
	if c.Retry.Ratio < 0 || c.Retry.PerSecond < 0 {
		return c, fmt.Errorf("%w: Retry.Ratio and Retry.PerSecond must be positive", ErrConfig)
	}
	if c.Name == "" {
		c.Name = d.Name
	}
	near, err := c.Near.filled()
	if err != nil {
		return c, err
	}
	c.Near = near
	if err := checkStale(c.MaxStale); err != nil {
		return c, err
	}
	c.Seeds = slices.Clone(c.Seeds)
	return c, c.checkWords()
}

func (c Config) checkWords() error {
	if len(c.Seeds) == 0 {
		return fmt.Errorf("%w: no seeds; give the client address of a node, for example localhost:7000", ErrConfig)
	}
	for _, s := range c.Seeds {
		host, port, err := net.SplitHostPort(s)
		if err != nil || port == "" || port == "0" {
			return fmt.Errorf("%w: seed %q is not host:port, for example localhost:7000", ErrConfig, s)
		}
		_ = host // an empty host means this machine, as in net.Dial
	}
	for _, r := range c.Name {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("%w: Name %q holds a space or a special character", ErrConfig, c.Name)
		}
	}
	switch strings.TrimSuffix(c.Durability, "+fsync") {
	case "async", "majority", "all":
	default:
		if c.Durability != "" {
			return fmt.Errorf("%w: Durability %q is none of async, majority, all, with +fsync behind it or not", ErrConfig, c.Durability)
		}
	}
	if c.OnLost != nil && !c.Losses {
		return fmt.Errorf("%w: OnLost is set but Losses is not", ErrConfig)
	}
	return nil
}

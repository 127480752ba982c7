package suite

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// openMax is how long a client may take to find the cluster, which is well by then.
const openMax = 10 * time.Second

// foreignHand is a client that others wrote, as its users have it, but for what a cache
// cannot do without: writes are not tried again when nobody knows what became of them.
// Versions, which it drops, an ear hears on its connections.
type foreignHand struct {
	ear *ear
	// ask puts a command to the client.
	ask func(ctx context.Context, words []string, reads bool) (resp.Reply, error)
	// late says that a command which it has given up may leave yet.
	late func(err error) bool
	end  func()
}

func (h *foreignHand) close() { h.end() }

func (h *foreignHand) do(o *chaos.Told) {
	if a, ok := h.try(o, words(o)); ok {
		fill(o, &a)
	}
}

func (h *foreignHand) many(os []*chaos.Told) {
	w := []string{"MGET"}
	for _, o := range os {
		w = append(w, o.Key)
	}
	a, ok := h.try(os[0], w)
	fillMany(os, &a, ok)
}

// try asks until there is an answer or time is over; false when there was none, and then
// the operation says what is known. The client follows MOVED by itself.
func (h *foreignHand) try(o *chaos.Told, w []string) (said, bool) {
	for end := time.Now().Add(tryMax); ; time.Sleep(tryPause) {
		a, ok := h.once(o, w)
		if ok || o.Outcome == chaos.Unknown || o.Word == "VERSION" || o.Word == "UNBLOCKED" || time.Now().After(end) {
			return a, ok
		}
	}
}

func (h *foreignHand) once(o *chaos.Told, w []string) (said, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), tryMax)
	defer cancel()
	waits := h.ear.await(w)
	r, err := h.ask(ctx, w, o.Kind == chaos.Read)
	may := err != nil && h.late(err)
	was := h.ear.end(waits)
	o.Node, o.Outcome, o.Word = was.node, chaos.Refused, ""
	a := said{r, was.versions}
	switch {
	case err == nil && !a.IsError() && len(was.versions) == 0: // nothing of it could be judged
		if o.Word = "not heard"; o.Kind != chaos.Read {
			o.Outcome = chaos.Unknown
		}
	case err == nil && !a.IsError():
		o.Outcome = chaos.OK
		return a, true
	case err == nil:
		o.Word = word(r)
	case was.open > 0, may:
		o.Outcome, o.Word = chaos.Unknown, "no reply"
	default:
		o.Word = "not sent"
	}
	return a, false
}

// newGoRedisHand is go-redis for a cluster.
func newGoRedisHand(addrs []string, level string) *foreignHand {
	redis.SetLogger(silent{})
	e := &ear{}
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, DialTimeout: tryMax, ReadTimeout: replyMax, WriteTimeout: replyMax, ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, _, addr string) (net.Conn, error) { return e.tapped(ctx, addr, level) },
	})
	ask := func(ctx context.Context, words []string, reads bool) (resp.Reply, error) {
		args := make([]any, len(words))
		for i, w := range words {
			args[i] = w
		}
		cmd := once{redis.NewCmd(ctx, args...), !reads}
		err := c.Process(ctx, cmd)
		if errors.Is(err, redis.Nil) {
			return resp.Reply{Kind: '_'}, nil
		}
		if refused := redis.Error(nil); errors.As(err, &refused) {
			return resp.Reply{Kind: '-', Text: []byte(refused.Error())}, nil
		}
		return replyOf(cmd.Val()), err
	}
	never := func(error) bool { return false } // its callers write themselves
	return &foreignHand{ear: e, ask: ask, late: never, end: func() { _ = c.Close() }}
}

// once is a command of go-redis that may not be tried again: it would, after a timeout, and
// two writes of one value are not one.
type once struct {
	*redis.Cmd
	only bool
}

// NoRetry says so to the client.
func (o once) NoRetry() bool { return o.only }

// silent takes what go-redis would log.
type silent struct{}

// Printf implements its logger.
func (silent) Printf(context.Context, string, ...any) {}

// newRueidisHand is rueidis for a cluster.
func newRueidisHand(addrs []string, level string) (*foreignHand, error) {
	e := &ear{}
	option := rueidis.ClientOption{
		InitAddress: addrs, Dialer: net.Dialer{Timeout: tryMax}, ConnWriteTimeout: tryMax,
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return e.tapped(ctx, addr, level)
		},
	}
	c, err := rueidis.NewClient(option)
	for end := time.Now().Add(openMax); err != nil && time.Now().Before(end); { // it wants an answer at once, and machines are busy
		time.Sleep(tryPause)
		c, err = rueidis.NewClient(option)
	}
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context, words []string, reads bool) (resp.Reply, error) {
		b := c.B().Arbitrary(words[0])
		keys := 1
		if words[0] == "MGET" {
			keys = len(words) - 1
		}
		cmd := b.Keys(words[1 : 1+keys]...).Args(words[1+keys:]...)
		var m rueidis.RedisResult
		if reads {
			m = c.Do(ctx, cmd.ReadOnly())
		} else {
			m = c.Do(ctx, cmd.Build())
		}
		v, err := m.ToAny()
		if rueidis.IsRedisNil(err) {
			return resp.Reply{Kind: '_'}, nil
		}
		if refused, ok := rueidis.IsRedisErr(err); ok {
			return resp.Reply{Kind: '-', Text: []byte(refused.Error())}, nil
		}
		return replyOf(v), err
	}
	late := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) } // it stays in the queue
	return &foreignHand{ear: e, ask: ask, late: late, end: c.Close}, nil
}

// replyOf is what a client gave as an answer.
func replyOf(v any) resp.Reply {
	switch v := v.(type) {
	case nil:
		return resp.Reply{Kind: '_'}
	case string:
		return resp.Reply{Kind: '$', Text: []byte(v)}
	case int64:
		return resp.Reply{Kind: ':', Int: v}
	case []any:
		r := resp.Reply{Kind: '*'}
		for _, i := range v {
			r.Items = append(r.Items, replyOf(i))
		}
		return r
	}
	return resp.Reply{Kind: '-', Text: fmt.Appendf(nil, "UNEXPECTED %T", v)}
}

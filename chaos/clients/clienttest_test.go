package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// clientSteps are calls of the client whose outcomes must be the same in a unit
// test and at a node.
var clientSteps = []struct {
	name string
	run  func(ctx context.Context, c *client.Client) (any, error)
}{
	{"a key that is not there", func(ctx context.Context, c *client.Client) (any, error) { return c.Get(ctx, "fake:none") }},
	{"a value", func(ctx context.Context, c *client.Client) (any, error) {
		_ = c.Set(ctx, "fake:k", []byte("v"))
		return c.Get(ctx, "fake:k")
	}},
	{"an empty value", func(ctx context.Context, c *client.Client) (any, error) {
		_ = c.Set(ctx, "fake:empty", nil)
		return c.Get(ctx, "fake:empty")
	}},
	{"a time to live", func(ctx context.Context, c *client.Client) (any, error) {
		_ = c.SetWithTTL(ctx, "fake:ttl", []byte("v"), 100_000)
		return c.Get(ctx, "fake:ttl")
	}},
	{"no time to live", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.SetWithTTL(ctx, "fake:ttl", []byte("v"), 0)
	}},
	{"a delete", func(ctx context.Context, c *client.Client) (any, error) {
		_ = c.Delete(ctx, "fake:k")
		return c.Get(ctx, "fake:k")
	}},
	{"a delete of nothing", func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Delete(ctx, "fake:none") }},
	{"a key that is too long", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Set(ctx, strings.Repeat("x", 65<<10), nil)
	}},
	{"a value that is too long", func(ctx context.Context, c *client.Client) (any, error) {
		return nil, c.Set(ctx, "fake:long", make([]byte, 65<<20))
	}},
	{"a context that is over", func(ctx context.Context, c *client.Client) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return c.Get(ctx, "fake:k")
	}},
}

// TestClienttestIsAsANode runs one list of commands, and one of calls, against
// the server of package clienttest and against a node.
func TestClienttestIsAsANode(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	node := launch(t, 1, "256MiB")[0]
	srv := clienttest.New(t)
	srv.Advance(time.Since(clienttest.Epoch))
	t.Run("commands", func(t *testing.T) {
		fake, _ := goRedis(t, srv.Addr())
		real, _ := goRedis(t, node.addr)
		for _, s := range dataSteps {
			if s.mode != near {
				s.mode = exact
			}
			compare(t, s, answer(fake.Do(ctx, s.args...).Result()), answer(real.Do(ctx, s.args...).Result()))
		}
	})
	t.Run("calls", func(t *testing.T) {
		fake, real := srv.Client(), newClient(t, []string{node.addr})
		for _, s := range clientSteps {
			got, want := outcome(s.run(ctx, fake)), outcome(s.run(ctx, real))
			if got != want {
				t.Errorf("%s: %s, at a node %s", s.name, got, want)
			}
		}
	})
}

// outcome is a value or what errors.Is says of an error, in one line.
func outcome(v any, err error) string {
	for _, e := range []error{
		client.ErrNotFound, client.ErrTooLarge, client.ErrAmbiguous, client.ErrUnavailable, client.ErrLostWrites,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q", v)
}

package client

import (
	"context"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Hook is told of every operation, for tracing and metrics. It must be quick, and safe
// for use by many goroutines. An operation on many keys counts as one per key.
type Hook interface {
	// Before runs before an operation; its context is handed to After.
	Before(ctx context.Context, op *Op) context.Context
	// After runs at the end of an operation. op is the one Before saw, filled.
	After(ctx context.Context, op *Op)
}

// Op is one operation as hooks see it. Those from Node on are set at
// its end.
type Op struct {
	Name  string        // the command's first word: "GET"
	Key   string        // "" for a command without one
	Slot  shardmap.Slot // of the key
	Shard int           // of the key; -1 while no node has told how many there are
	Bytes int           // size of the value to store

	Node     string        // address last asked, "" when none was reached
	Attempts int           // how many times a node was tried; more than 1 were retries and redirects
	Duration time.Duration // from the call to its end
	Version  Version       // of the key, 0 when not told
	Err      error         // why there is no answer; a miss is an answer
	Text     int           // bytes of the value that came back
}

// before runs the hooks of a command, in their order.
func (c *Client) before(ctx context.Context, cmd *command, slot shardmap.Slot) (*Op, []context.Context) {
	op := &Op{Name: cmd.name(), Key: cmd.key, Slot: slot, Shard: -1, Bytes: len(cmd.value)}
	if v := c.view.Load(); v != nil && v.table.layout.Shards > 0 {
		op.Shard = int(v.table.layout.ShardOf(slot))
	}
	told := make([]context.Context, len(c.cfg.Hooks))
	for i, h := range c.cfg.Hooks {
		ctx = h.Before(ctx, op)
		told[i] = ctx
	}
	return op, told
}

// after runs them in the opposite order.
func (c *Client) after(op *Op, told []context.Context, st *callState, a *answer, err error, took time.Duration) {
	op.Node, op.Attempts, op.Duration = a.node, st.attempts, took
	op.Version, op.Err = a.version, err
	if a.Kind == '$' {
		op.Text = max(len(a.Text), int(a.Int))
	}
	for i := len(told) - 1; i >= 0; i-- {
		c.cfg.Hooks[i].After(told[i], op)
	}
}

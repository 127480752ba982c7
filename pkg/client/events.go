package client

import (
	"context"
	"log/slog"
)

// tell logs one thing that befell the client.
func (c *Client) tell(level slog.Level, what string, attrs ...slog.Attr) {
	if c.cfg.Logger != nil {
		c.cfg.Logger.LogAttrs(context.Background(), level, what, attrs...)
	}
}

func (n *node) tellDown(err error) {
	n.client.tell(slog.LevelWarn, "node does not answer", slog.String("node", n.addr), slog.String("why", err.Error()))
}

func (n *node) tellUp() {
	n.client.tell(slog.LevelInfo, "node answers again", slog.String("node", n.addr))
}

func (c *Client) tellMap(t *table) {
	c.tell(slog.LevelInfo, "took a map", slog.Uint64("epoch", t.epoch), slog.Int("nodes", len(t.nodes)))
}

func (c *Client) tellLost(e *LostWritesError) {
	c.tell(slog.LevelError, "acknowledged writes were lost", slog.Int("shard", int(e.Shard)),
		slog.String("after", e.After.String()), slog.String("last", e.Last.String()))
}

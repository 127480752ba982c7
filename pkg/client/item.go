package client

import (
	"context"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Version orders all writes of one shard: the later write has the higher one. It is
// never used twice, not even after a failover; 0 means none, or that the server does
// not tell.
type Version = shardmap.Version

// Item is a key with what is known of it.
type Item struct {
	Key       string
	Value     []byte
	Version   Version   // of the value; 0 from servers that do not tell
	ExpiresAt time.Time // zero: it does not expire, or nobody asked
	Node      string    // address that answered; "" from the near cache
	Found     bool      // false: there is no such key
	FromNear  bool      // the near cache answered: see Config.Near
}

// GetItem gives the value of a key with its version and the time at which it expires,
// by this machine's clock and late by at most the way of the answer. Both commands
// that this takes travel together; what another caller changed between them is asked for again.
func (c *Client) GetItem(ctx context.Context, key string) (Item, error) {
	if c.near.keeps(key) {
		return c.near.item(ctx, key)
	}
	return c.usual().GetItem(ctx, key)
}

// itemBy makes an item of the answers to GET and PTTL that ask brings, up to three times.
func itemBy(key string, ask func() (value, ttl answer, err error)) (Item, error) {
	const rounds = 3
	for i := 1; ; i++ {
		value, ttl, err := ask()
		if err != nil {
			return Item{Key: key}, err
		}
		item := itemOf(key, value)
		same := value.version == ttl.version && item.Found == (ttl.Int != noSuchKey)
		if !same && i < rounds {
			continue
		}
		if !item.Found {
			return item, ErrNotFound
		}
		if ttl.Int >= 0 {
			item.ExpiresAt = time.Now().Add(time.Duration(ttl.Int) * time.Millisecond)
		}
		return item, nil
	}
}

// What PTTL answers beside milliseconds.
const (
	noExpiry  = -1
	noSuchKey = -2
)

// itemOf reads the answer to a GET.
func itemOf(key string, a answer) Item {
	item := Item{Key: key, Version: a.version, Node: a.node, Found: !a.IsNull()}
	if item.Found {
		item.Value = a.Text
	}
	return item
}

package client

import (
	"context"
	"errors"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// keeper changes keys by their versions. All its commands on a key travel on one
// connection, the reads too: what is read behind a step has seen it.
type keeper struct {
	c    *Client
	lane lane
}

// versioned is a value with its version, as the leaseholder gave both.
type versioned struct {
	value   []byte
	version shardmap.Version // 0: no such key
}

// errNoVersions is the end of what needs versions at a server that has none.
var errNoVersions = because(ErrUnsupported, errors.New("the server gives no versions; locks, sessions and GetOrLoad need an aegis server"))

// look reads a key with its version; no key is no error.
func (k keeper) look(ctx context.Context, key string) (versioned, error) {
	a, err := k.c.do(ctx, &command{op: opGet, key: key, lane: k.lane})
	if err != nil {
		return versioned{}, err
	}
	return versionedOf(key, a)
}

func versionedOf(key string, a answer) (versioned, error) {
	switch {
	case a.IsNull():
		return versioned{}, nil
	case a.version == 0:
		return versioned{}, &OpError{Op: "GET", Key: key, Node: a.node, Attempts: 1, Err: errNoVersions}
	}
	return versioned{a.Text, a.version}, nil
}

// swap writes a key that has version is, 0 when there must be none, and gives the new
// version.
func (k keeper) swap(ctx context.Context, key string, value []byte, ttl time.Duration, is shardmap.Version) (shardmap.Version, error) {
	cmd := command{op: opSet, key: key, value: value, lane: k.lane}
	cmd.set.only, cmd.set.version = 'V', is
	cmd.set.setExpiry(ttl)
	a, err := k.c.do(ctx, &cmd)
	return shardmap.Version(a.Int), unknownOption(&cmd, err)
}

// drop deletes a key that has version is.
func (k keeper) drop(ctx context.Context, key string, is shardmap.Version) error {
	cmd := deleteIfCommand(key, is)
	cmd.lane = k.lane
	_, err := k.c.do(ctx, &cmd)
	return err
}

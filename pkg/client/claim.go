package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// claim is one attempt to own a key for a while: the lease under Lock and the filler's
// right under GetOrLoad. The key's value names the owner, and every step compares the
// key's version, so that a step which arrives late, or twice, does nothing.
//
// A step of unknown outcome is not believed in either direction: the owner reads the key
// to learn its version, and then repeats the step on top of that. What was only read is
// never taken for owned: it may not be acknowledged as the claim asks, and could be
// lost with the node that showed it.
//
// A claim is used by one goroutine at a time.
type claim struct {
	keeper  // its acknowledgements decide what a claim survives
	key     string
	owner   []byte
	ttl     time.Duration
	version shardmap.Version // of the last step known to be applied
	unsure  bool             // a step may have been applied of which we do not know
}

func (c *Client) newClaim(key string, ttl time.Duration, a lane) *claim {
	return &claim{keeper: keeper{c, a}, key: key, owner: []byte(c.cfg.Name + "/" + rand.Text()), ttl: ttl}
}

// errTaken: the key belongs to somebody else. errGone: it was ours and is not any more.
var (
	errTaken = errors.New("client: held by another owner")
	errGone  = errors.New("client: no longer held")
)

// take makes the key ours. sent is a time before the server can have started to
// count ttl. The error is errTaken when somebody has it.
func (k *claim) take(ctx context.Context) (sent time.Time, err error) {
	for {
		sent = time.Now()
		v, err := k.swap(ctx, k.key, k.owner, k.ttl, 0)
		if err == nil {
			k.version = v
			return sent, nil
		}
		k.unsure = k.unsure || errors.Is(err, ErrAmbiguous)
		if !unsettled(err) {
			return sent, err
		}
		switch err := k.see(ctx); {
		case err == nil: // an attempt of ours did arrive
			return k.extend(ctx)
		case errors.Is(err, errGone): // free, or free again
		default:
			return sent, err
		}
	}
}

// withdraw gives up what a take that failed may have taken all the same. What
// arrives later still is the time to live's.
func (k *claim) withdraw() {
	if !k.unsure {
		return
	}
	k.c.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, k.ttl)
		defer cancel()
		if k.see(ctx) == nil {
			_ = k.release(ctx) // the time to live ends it otherwise
		}
	})
}

// extend lets ttl begin anew.
func (k *claim) extend(ctx context.Context) (sent time.Time, err error) {
	for {
		sent = time.Now()
		v, err := k.swap(ctx, k.key, k.owner, k.ttl, k.version)
		if err == nil {
			k.version = v
			return sent, nil
		}
		if !unsettled(err) {
			return sent, err
		}
		if err := k.see(ctx); err != nil {
			return sent, err
		}
	}
}

// release gives the key up, if it is still ours.
func (k *claim) release(ctx context.Context) error {
	for {
		err := k.drop(ctx, k.key, k.version)
		if err == nil {
			return nil
		}
		if !unsettled(err) {
			return err
		}
		unknown := errors.Is(err, ErrAmbiguous)
		switch err := k.see(ctx); {
		case err == nil: // still ours, under the version just seen
		case unknown && errors.Is(err, errGone):
			return nil // that was us
		default:
			return err
		}
	}
}

// unsettled says that a step did nothing under the version it knew, or may have: the key
// has to be seen.
func unsettled(err error) bool {
	return errors.Is(err, ErrVersionMismatch) || errors.Is(err, ErrAmbiguous)
}

// see takes the key's present version: errGone when there is no key, errTaken when it
// is another's.
func (k *claim) see(ctx context.Context) error {
	at, err := k.look(ctx, k.key)
	switch {
	case err != nil:
		return err
	case at.version == 0:
		return errGone
	case !bytes.Equal(at.value, k.owner):
		return errTaken
	}
	k.version = at.version
	return nil
}

package client

import (
	"context"
	"errors"
	"time"
)

// Batch gathers commands and sends them together: one write per connection, and all
// nodes at the same time. It is no transaction: other callers' commands may come between
// any two. Commands on one key are run in the order in which they were added, unless one is
// redirected or refused for a moment; then it comes behind those that were not. A Batch
// belongs to one goroutine and runs once; its Futures may be read by any afterwards.
type Batch struct {
	client *Client
	jobs   []job
	bad    []badJob
	ran    bool
}

// badJob is a command that makes no sense: it is not sent.
type badJob struct {
	at  int
	err error
}

// ErrPending is what a Future answers before its Batch has run.
var ErrPending = errors.New("client: the batch has not run")

// Future is the answer to one command of a Batch.
type Future[T any] struct {
	batch *Batch
	at    int
	read  func(a answer, err error) (T, error)
}

// Result gives the answer, or the error that the client's own call would give.
func (f *Future[T]) Result() (T, error) {
	if !f.batch.ran {
		var none T
		return none, ErrPending
	}
	j := &f.batch.jobs[f.at]
	return f.read(j.answer, j.err)
}

// Batch starts an empty batch.
func (c *Client) Batch() *Batch { return &Batch{client: c} }

// Len is how many commands were added.
func (b *Batch) Len() int { return len(b.jobs) }

// Do sends the commands and waits for their answers. A *KeysError names those without an
// answer; a miss is an answer, and so is a condition that did not hold: those are in the Futures only.
func (b *Batch) Do(ctx context.Context) error {
	if b.ran {
		return errors.New("client: a batch runs once")
	}
	good := b.jobs
	if len(b.bad) > 0 {
		good = b.withoutBad()
	}
	b.client.doAll(ctx, good)
	if len(b.bad) > 0 {
		b.withBad(good)
	}
	b.ran = true
	return b.client.keysError(b.jobs)
}

func (b *Batch) withoutBad() []job {
	good := make([]job, 0, len(b.jobs))
	bad := b.bad
	for i := range b.jobs {
		if len(bad) > 0 && bad[0].at == i {
			bad = bad[1:]
			continue
		}
		good = append(good, b.jobs[i])
	}
	return good
}

func (b *Batch) withBad(good []job) {
	bad := b.bad
	for i := range b.jobs {
		if len(bad) > 0 && bad[0].at == i {
			b.jobs[i].err = b.client.mistake(b.jobs[i].cmd.name(), b.jobs[i].cmd.key, bad[0].err)
			bad = bad[1:]
			continue
		}
		b.jobs[i], good = good[0], good[1:]
	}
}

// addTo adds a command to a batch; err says that it makes no sense.
func addTo[T any](b *Batch, cmd command, err error, read func(answer, error) (T, error)) *Future[T] {
	if err != nil {
		b.bad = append(b.bad, badJob{len(b.jobs), err})
	}
	b.jobs = append(b.jobs, job{cmd: cmd})
	return &Future[T]{b, len(b.jobs) - 1, read}
}

// Get adds Client.Get.
func (b *Batch) Get(key string) *Future[[]byte] {
	return addTo(b, command{op: opGet, key: key}, nil, valueOf)
}

// Set adds Client.SetX; without options it is Client.Set.
func (b *Batch) Set(key string, value []byte, options ...SetOption) *Future[Item] {
	cmd, err := setCommand(key, value, options)
	return addTo(b, cmd, err, func(a answer, err error) (Item, error) {
		if err != nil {
			return Item{Key: key}, unknownOption(&cmd, err)
		}
		return writtenItem(&cmd, a)
	})
}

// Delete adds Client.Delete; the answer says whether there was such a key.
func (b *Batch) Delete(key string) *Future[bool] {
	return addTo(b, command{op: opDel, key: key}, nil, func(a answer, err error) (bool, error) { return a.Int > 0, err })
}

// Incr adds Client.Incr.
func (b *Batch) Incr(key string, delta int64) *Future[int64] {
	return addTo(b, incrCommand(key, delta), nil, numberOf)
}

// Expire adds Client.Expire; the answer says whether there was such a key.
func (b *Batch) Expire(key string, ttl time.Duration) *Future[bool] {
	var err error
	if ttl <= 0 {
		err = badTTL(ttl)
	}
	return addTo(b, expireCommand(key, ttl), err, func(a answer, err error) (bool, error) { return a.Int > 0, err })
}

// TTL adds Client.TTL.
func (b *Batch) TTL(key string) *Future[time.Duration] {
	return addTo(b, command{op: opPTTL, key: key}, nil, ttlOf)
}

// Raw adds Client.Do.
func (b *Batch) Raw(args ...any) *Future[Reply] {
	cmd, err := rawCommand(args)
	return addTo(b, cmd, err, func(a answer, err error) (Reply, error) { return a.Reply, err })
}

package shardgroup

import (
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Txn is several operations on one shard that happen at once: nobody sees a part of
// them, and a failover keeps all or none, because they are one record. It holds the
// shard from Begin to End: nothing may be waited for in between.
type Txn struct {
	s   *shard
	at  int64 // shard time of all of it
	v   shardmap.Version
	now multiraft.Instant
	rec statemachine.Record
}

// Begin starts t at the leaseholder. write says that it may change something; level is
// that of Do. After an error nothing is held.
func (r *Replica) Begin(t *Txn, id shardmap.ShardID, write bool, level Level, now multiraft.Instant) (Admission, error) {
	s := r.shard(id)
	if s == nil {
		return Admission{}, ErrUnavailable
	}
	s.mu.Lock()
	a, err := s.admit(now)
	if err == nil && write {
		a, err = s.admitWrite(level, now)
	}
	if err != nil {
		s.mu.Unlock()
		return a, err
	}
	t.s, t.now, t.at = s, now, s.pass(now)
	t.v = shardmap.MakeVersion(s.epoch, s.m.Position().Seq()+1)
	s.m.Begin(t.v)
	return Admission{Lease: s.proof(), Version: s.m.Position()}, nil
}

// Do executes a command as part of the transaction.
func (t *Txn) Do(c *statemachine.Command, res *statemachine.Result) error {
	return t.s.m.Execute(c, t.v, t.at, res)
}

// Get looks a key up, with what the transaction did so far; quiet and dst are those of
// Replica.Get.
func (t *Txn) Get(key, dst []byte, quiet bool) (val statemachine.Value, found bool) {
	val, found = t.s.m.Lookup(key, quiet, t.at)
	val.Data = append(dst, val.Data...)
	return val, found
}

// Usage says how a key is kept.
func (t *Txn) Usage(key []byte) (lru.Usage, bool) { return t.s.m.Usage(key) }

// Look says what a key is, with what the transaction did so far.
func (t *Txn) Look(key []byte) Glance { return Glance{t.s.m.Look(key, t.at), t.s.epoch} }

// Glance is what a key was at some moment, under some lease: two of one key are equal
// only when nothing touched it in between and the same holder served it all the while.
type Glance struct {
	statemachine.Glance
	Epoch uint32
}

// Look says at the leaseholder what a key is. The reply needs a fresh lease check.
func (r *Replica) Look(id shardmap.ShardID, key []byte, now multiraft.Instant) (Glance, Admission, error) {
	s := r.shard(id)
	if s == nil {
		return Glance{}, Admission{}, ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err := s.admit(now); err != nil {
		return Glance{}, a, err
	}
	return Glance{s.m.Look(key, s.pass(now)), s.epoch}, Admission{Lease: s.proof(), Version: s.m.Position()}, nil
}

// End makes the transaction's changes one record and lets the shard go. changed says
// whether there were any: then the version is theirs, and may be given to Await.
func (t *Txn) End() (a Admission, changed bool) {
	s := t.s
	defer s.mu.Unlock()
	t.s = nil
	if changed = s.m.End(&t.rec); changed {
		s.push(&t.rec, t.now)
		t.rec.Value = nil
	}
	return Admission{Lease: s.proof(), Version: s.m.Position()}, changed
}

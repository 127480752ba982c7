package redis

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// memory is a Backend that is a whole cluster of one node: a map under a mutex,
// with the rules of Redis. Its hooks let tests put it into transition.
type memory struct {
	mu       sync.Mutex
	now      func() int64
	keys     map[string]entry
	touched  map[string]*uint32 // how often a key was changed
	epoch    uint32
	routes   *shardmap.Map
	face     *Server
	watched  bool
	at       map[string]*shardmap.Version
	versions shardmap.Version
	commits  int
	modes    []ReadMode // of each Get
	parks    int
	waits    int

	links    []Link
	again    func(key []byte) error // asked before each keyed command
	commit   func() error           // asked at each Commit
	awake    func()                 // called before commands of connections that track
	park     func()                 // called by Park
	holders  int                    // what Wait finds
	final    bool                   // Wait answers at once
	adminErr error
}

type entry struct {
	value    []byte
	deadline int64
}

func newMemory() *memory {
	layout := shardmap.DefaultLayout
	m := shardmap.NewMap(layout).WithNodes(1, []shardmap.NodeInfo{{ID: 1, Name: "node1", Host: "127.0.0.1", Port: 7000}})
	for g := 1; g <= layout.Groups; g++ {
		m = m.With(shardmap.Route{Group: shardmap.GroupID(g), Epoch: 1, Leader: 1})
	}
	return &memory{keys: make(map[string]entry), touched: make(map[string]*uint32), at: make(map[string]*shardmap.Version), epoch: 1, routes: m, now: func() int64 { return time.Now().UnixMilli() }}
}

func (m *memory) Open(*Session)   {}
func (m *memory) Closed(*Session) {}

func (m *memory) admit(key []byte) error {
	if m.again != nil {
		return m.again(key)
	}
	return nil
}

// alive finds a key that has not expired.
func (m *memory) alive(key []byte) (entry, bool) {
	e, ok := m.keys[string(key)]
	if ok && e.deadline != 0 && e.deadline <= m.now() {
		delete(m.keys, string(key))
		return entry{}, false
	}
	return e, ok
}

func (m *memory) Get(s *Session, slot shardmap.Slot, key, dst []byte) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admit(key); err != nil {
		return dst, false, err
	}
	m.modes = append(m.modes, s.ReadMode)
	e, ok := m.alive(key)
	m.saw(s, slot, key)
	s.Version = m.version(key, ok)
	return append(dst, e.value...), ok, nil
}

func (m *memory) Stat(s *Session, slot shardmap.Slot, key []byte) (Stat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admit(key); err != nil {
		return Stat{}, err
	}
	e, ok := m.alive(key)
	m.saw(s, slot, key)
	s.Version = m.version(key, ok)
	return Stat{Found: ok, Len: len(e.value), Deadline: e.deadline, Now: m.now()}, nil
}

// Look is exact: it counts every change of every key.
func (m *memory) Look(_ *Session, _ shardmap.Slot, key []byte) (Glance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admit(key); err != nil {
		return Glance{}, err
	}
	seen := Glance{Epoch: m.epoch}
	if _, ok := m.alive(key); ok {
		seen.Version = 1
	}
	if n := m.touched[string(key)]; n != nil {
		seen.Gone = *n
	}
	return seen, nil
}

func (m *memory) touch(key []byte) {
	n := m.touched[string(key)]
	if n == nil {
		n = new(uint32)
		m.touched[string(key)] = n
	}
	*n++
}

func (m *memory) deadline(op *Op, old int64) int64 {
	switch op.TTLMode {
	case TTLKeep:
		return old
	case TTLRelative:
		return m.now() + op.TTL
	case TTLAbsolute:
		return max(1, op.TTL)
	}
	return 0
}

func (m *memory) Do(s *Session, op *Op, res *Result) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.do(op, res)
	if s.Version = 0; res.Changed {
		m.versions++
		s.Version = m.versions
		if at := m.at[string(op.Key)]; at != nil { // an assignment would copy the key
			*at = m.versions
		} else {
			m.at[string(op.Key)] = new(m.versions)
		}
	}
	if res.Changed && m.watched {
		m.face.Changed(m.routes.Layout().ShardOf(op.Slot), op.Key, uint64(s.ID))
	}
	return err
}

// version is that of a key's last change.
func (m *memory) version(key []byte, found bool) shardmap.Version {
	if !found {
		return 0
	}
	return *m.at[string(key)]
}

// saw notes a read, as Backend says.
func (m *memory) saw(s *Session, slot shardmap.Slot, key []byte) {
	if s.Seen != nil {
		s.Seen(m.routes.Layout().ShardOf(slot), key)
	}
}

func (m *memory) Watch(on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched = on
	return nil
}

func (m *memory) do(op *Op, res *Result) error {
	*res = Result{Value: res.Value[:0]}
	if err := m.admit(op.Key); err != nil {
		return err
	}
	defer func() {
		if res.Changed {
			m.touch(op.Key)
		}
	}()
	e, ok := m.alive(op.Key)
	*res = Result{Existed: ok, Value: res.Value[:0]}
	if ok && (op.WithOld || op.Kind == OpGetDel || op.Kind == OpGetEx) {
		res.Value = append(res.Value, e.value...)
	}
	switch op.Kind {
	case OpSet:
		if (op.Cond == NX && ok) || (op.Cond == XX && !ok) {
			return nil
		}
		m.put(op.Key, append(e.value[:0], op.Value...), m.deadline(op, e.deadline), ok)
	case OpDel, OpGetDel:
		if !ok {
			return nil
		}
		delete(m.keys, string(op.Key))
	case OpAppend:
		v := append(slices.Clone(e.value), op.Value...)
		m.put(op.Key, v, e.deadline, ok)
		res.Int = int64(len(v))
	case OpIncrBy:
		return m.incr(op, e, ok, res)
	case OpSetRange:
		return m.setRange(op, e, ok, res)
	case OpIncrByFloat:
		return m.incrByFloat(op, e, ok, res)
	default:
		return m.retime(op, e, ok, res)
	}
	res.Changed = true
	return nil
}

func (m *memory) put(key, value []byte, deadline int64, existed bool) {
	if old := m.keys[string(key)]; existed && old.deadline == deadline && len(old.value) == len(value) {
		copy(old.value, value) // no assignment: it would copy the key
		return
	}
	m.keys[string(key)] = entry{value, deadline}
}

func (m *memory) incr(op *Op, e entry, ok bool, res *Result) error {
	var n int64
	if ok {
		var valid bool
		if n, valid = parseInt(e.value); !valid {
			return errors.New("value is not an integer or out of range")
		}
	}
	if d := op.Delta; (d > 0 && n > math.MaxInt64-d) || (d < 0 && n < math.MinInt64-d) {
		return errors.New("increment or decrement would overflow")
	}
	res.Int, res.Changed = n+op.Delta, true
	m.put(op.Key, strconv.AppendInt(nil, res.Int, 10), e.deadline, ok)
	return nil
}

func (m *memory) setRange(op *Op, e entry, ok bool, res *Result) error {
	res.Int = int64(len(e.value))
	if len(op.Value) == 0 {
		return nil
	}
	if op.Delta+int64(len(op.Value)) > m.ValueBytesMax() {
		return ErrTooLarge
	}
	v := slices.Clone(e.value)
	for int64(len(v)) < op.Delta+int64(len(op.Value)) {
		v = append(v, 0)
	}
	copy(v[op.Delta:], op.Value)
	m.put(op.Key, v, e.deadline, ok)
	res.Int, res.Changed = int64(len(v)), true
	return nil
}

// incrByFloat knows short numbers only; the node's tests compare the others.
func (m *memory) incrByFloat(op *Op, e entry, ok bool, res *Result) error {
	old, err1 := strconv.ParseFloat(string(e.value), 64)
	by, err2 := strconv.ParseFloat(string(op.Value), 64)
	if ok && err1 != nil || err2 != nil {
		return errors.New("value is not a valid float")
	}
	res.Value, res.Changed = strconv.AppendFloat(res.Value, old+by, 'f', -1, 64), true
	m.put(op.Key, slices.Clone(res.Value), e.deadline, ok)
	return nil
}

func (m *memory) retime(op *Op, e entry, ok bool, res *Result) error {
	had := e.deadline != 0
	d := m.deadline(op, e.deadline)
	switch {
	case !ok,
		op.Kind == OpPersist && !had,
		op.Kind == OpGetEx && d == e.deadline,
		op.Cond == NX && had,
		op.Cond == XX && !had,
		op.Cond == GT && (!had || d <= e.deadline),
		op.Cond == LT && had && d >= e.deadline,
		op.Cond == LTX && (!had || d >= e.deadline):
		return nil
	}
	res.Int, res.Changed = 1, true
	m.keys[string(op.Key)] = entry{e.value, d}
	return nil
}

func (m *memory) BackgroundSave() error { return ErrSaving }

func (m *memory) LastSave() time.Time { return time.Time{} }

func (m *memory) FlushAll(s *Session) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.keys {
		m.touch([]byte(k))
	}
	clear(m.keys)
	if m.watched {
		m.face.Flushed(0, uint64(s.ID))
	}
	return 1, nil
}

// holds reports that a key is one of a shard.
func (m *memory) holds(shard shardmap.ShardID, key string) bool {
	return m.routes.Layout().ShardOf(shardmap.SlotOfString(key)) == shard
}

func (m *memory) Flush(s *Session, shard shardmap.ShardID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.keys {
		if m.holds(shard, k) {
			m.touch([]byte(k))
			delete(m.keys, k)
		}
	}
	if m.watched {
		m.face.Flushed(shard, uint64(s.ID))
	}
	return nil
}

func (m *memory) Count(_ *Session, shard shardmap.ShardID) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.keys {
		if m.holds(shard, k) {
			n++
		}
	}
	return n, nil
}

func (m *memory) Begin(*Session, shardmap.Slot, bool) error { return nil }

func (m *memory) Usage(_ *Session, key []byte) Usage { return Usage{Bytes: int64(len(key)) + 100} }

func (m *memory) End(*Session) {}

func (m *memory) ValueBytesMax() int64 { return 64 << 20 }

func (m *memory) Size(*Session) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.keys)), nil
}

// Walk goes by the sorted keys, a place each; they are in whatever shard it begins in.
func (m *memory) Walk(_ *Session, at Cursor, n int, visit func(key []byte)) (Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.admit(nil); err != nil {
		return at, err
	}
	keys := slices.Sorted(maps.Keys(m.keys))
	i := int(at.Place())
	for ; i < len(keys) && n > 0; i, n = i+1, n-1 {
		if _, ok := m.alive([]byte(keys[i])); ok {
			visit([]byte(keys[i]))
		}
	}
	if i >= len(keys) {
		return 0, nil
	}
	return CursorAt(at.Shard(), uint64(i)), nil
}

// Step goes by the sorted keys of the shard, a place each.
func (m *memory) Step(_ *Session, at Cursor, n int, visit func(key []byte)) (Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	layout := m.routes.Layout()
	i := 0
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if !m.holds(at.Shard(), key) {
			continue
		}
		if i++; i <= int(at.Place()) {
			continue
		}
		if n--; n < 0 {
			return CursorAt(at.Shard(), uint64(i-1)), nil
		}
		visit([]byte(key))
	}
	if int(at.Shard())+1 >= layout.Shards {
		return 0, nil
	}
	return CursorAt(at.Shard()+1, 0), nil
}

func (m *memory) RandomKey(s *Session) (key []byte, found bool, err error) {
	_, err = m.Walk(s, 0, math.MaxInt, func(k []byte) { key, found = k, true })
	return key, found, err
}

func (m *memory) Commit(*Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	if m.commit != nil {
		return m.commit()
	}
	return nil
}

func (m *memory) Park(*Session, time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parks++
	if m.park != nil {
		m.park()
	}
	if m.parks < 3 {
		return nil
	}
	return ErrDown
}

func (m *memory) Wait(_ *Session, n int, timeout time.Duration) (int, error) {
	m.mu.Lock()
	m.waits++
	held := m.holders
	m.mu.Unlock()
	if held < n && !m.final {
		<-time.After(timeout)
	}
	return held, nil
}

func (m *memory) Held(_ *Session, _ shardmap.ShardID, epoch uint32, v shardmap.Version) (shardmap.Version, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waits++; epoch != m.epoch {
		return 0, 0, ErrUnblocked
	}
	return max(v, shardmap.MakeVersion(epoch, 1)), m.holders, nil
}

func (m *memory) Followers() int { return 2 }

func (m *memory) SetLevel(_ *Session, level string) (string, error) {
	switch level {
	case "", "async", "default":
		return "async", nil
	case "majority", "all":
		return level, nil
	}
	return "", ReplyError("ERR unknown ack level")
}

func (m *memory) Token(_ *Session, marks []Mark) string {
	token := "1:0:3.7"
	for _, k := range marks {
		token += "," + k.String()
	}
	return token
}

// Check finds everything durable.
func (m *memory) Check(_ *Session, token string) (all []Verdict, err error) {
	marks, ok := strings.CutPrefix(token, "1:0:")
	for mark := range strings.SplitSeq(marks, ",") {
		v := Verdict{Word: "durable", AtMost: strings.HasSuffix(mark, "+")}
		if n, _ := fmt.Sscanf(mark, "%d.%d", &v.Shard, &v.Version); !ok || n != 2 {
			return nil, ReplyError("ERR the token cannot be read")
		}
		all = append(all, v)
	}
	return all, nil
}

func (m *memory) Admin(_ *Session, words []string) ([]byte, error) {
	return []byte(`{"words":` + strconv.Itoa(len(words)) + `}`), m.adminErr
}

func (m *memory) Map() *shardmap.Map { return m.routes }

func (m *memory) Self() shardmap.NodeID { return 1 }
func (m *memory) Links() []Link         { return m.links }

func (m *memory) Info() []InfoSection {
	return []InfoSection{{"Persistence", [][2]string{{"loading", "0"}}}, {"Cluster", [][2]string{{"cluster_enabled", "1"}}}}
}

func (m *memory) ResetStats() {}

func (m *memory) Settings() [][2]string {
	return [][2]string{{"save", ""}, {"appendonly", "no"}, {"cluster-enabled", "yes"}}
}

func (m *memory) Awake() {
	m.mu.Lock()
	awake := m.awake
	m.mu.Unlock()
	if awake != nil {
		awake()
	}
}

func (m *memory) TooLargeText() string { return ": the longest is 1 byte" }

package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// versions makes the nodes of a world give versions and compare them, as aegis nodes
// do, over one table of keys that all of them share.
func versions(w *world) *versionedWorld {
	v := &versionedWorld{w: w, keys: map[string]versionedKey{}, next: shardmap.MakeVersion(1, 0), epoch: 1, runs: map[string]int{}}
	for _, n := range w.nodes {
		n.on(v.run)
	}
	return v
}

type versionedWorld struct {
	w     *world
	mu    sync.Mutex // guards everything below
	keys  map[string]versionedKey
	next  shardmap.Version
	epoch uint64
	runs  map[string]int // SETs applied, by "SET " and key
	// meet, when set, sees a command that changes data first: "" lets it through, "drop"
	// hangs up before it is applied, "hang up" after, "down" refuses it.
	meet func(args []string) string
	mute bool             // AEGIS.CHECK knows nothing
	base shardmap.Version // versions above it and below the present epoch are lost
}

type versionedKey struct {
	value   string
	version shardmap.Version
	ends    time.Time // zero = never
}

func (v *versionedWorld) set(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

func (v *versionedWorld) count(what string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.runs[what]
}

func (v *versionedWorld) run(p *peer, args []string) bool {
	name := strings.ToUpper(args[0])
	switch name {
	case "SET", "DELIFVER", "DEL", "GET", "PTTL":
		if v.elsewhere(p, args[1]) {
			return false // MOVED
		}
	case "AEGIS.CHECK":
	case "AEGIS.DURABILITY":
		p.say(resp.AppendBulk(nil, args[1]))
		return true
	case "AEGIS.TOKEN":
		p.say(resp.AppendBulk(nil, "1:c0ffee:"))
		return true
	case "CONFIG":
		p.say(resp.AppendBulk(resp.AppendBulk(resp.AppendArray(nil, 2), "numShards"), "1"))
		return true
	default:
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	what := ""
	if v.meet != nil && name != "GET" && name != "PTTL" && name != "AEGIS.CHECK" {
		what = v.meet(args)
	}
	switch what {
	case "drop":
		_ = p.Close()
		return true
	case "down":
		p.say([]byte("-CLUSTERDOWN no lease\r\n"))
		return true
	}
	reply := v.keyedLocked(name, args)
	if what == "hang up" {
		_ = p.Close()
		return true
	}
	p.say(reply)
	return true
}

func (v *versionedWorld) elsewhere(p *peer, key string) bool {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	return v.w.nodes[v.w.owner(shardmap.SlotOfString(key))] != p.node
}

func (v *versionedWorld) keyedLocked(name string, args []string) []byte {
	if name == "AEGIS.CHECK" {
		return v.checkLocked(args[1])
	}
	k, ok := v.keys[args[1]]
	if ok && !k.ends.IsZero() && !time.Now().Before(k.ends) {
		delete(v.keys, args[1])
		k, ok = versionedKey{}, false
	}
	switch name {
	case "GET":
		if !ok {
			return append(v.attributeLocked(0), "_\r\n"...)
		}
		return resp.AppendBulk(v.attributeLocked(k.version), k.value)
	case "PTTL":
		left := int64(-2)
		if ok {
			left = time.Until(k.ends).Milliseconds()
		}
		return resp.AppendInt(v.attributeLocked(k.version), left)
	case "SET":
		return v.setLocked(args, k)
	case "DELIFVER":
		if args[2] != fmt.Sprint(uint64(k.version)) {
			return fmt.Appendf(nil, "-VERSION %d\r\n", k.version)
		}
	}
	v.next++
	delete(v.keys, args[1])
	return resp.AppendInt(v.attributeLocked(v.next), int64(v.next))
}

func (v *versionedWorld) setLocked(args []string, k versionedKey) []byte {
	n := versionedKey{value: args[2]}
	compared := false
	for i := 3; i+1 < len(args); i += 2 {
		x, _ := strconv.ParseInt(args[i+1], 10, 64)
		switch args[i] {
		case "IFVER":
			if compared = true; shardmap.Version(x) != k.version {
				return fmt.Appendf(nil, "-VERSION %d\r\n", k.version)
			}
		case "PX":
			n.ends = time.Now().Add(time.Duration(x) * time.Millisecond)
		}
	}
	v.runs["SET "+args[1]]++
	v.next++
	n.version = v.next
	v.keys[args[1]] = n
	if compared {
		return resp.AppendInt(v.attributeLocked(n.version), int64(n.version))
	}
	return append(v.attributeLocked(n.version), "+OK\r\n"...)
}

// attributeLocked is what stands before an answer.
func (v *versionedWorld) attributeLocked(version shardmap.Version) []byte {
	return fmt.Appendf(nil, "|2\r\n$1\r\ne\r\n:%d\r\n$1\r\nv\r\n:%d\r\n", v.epoch, version)
}

// failover loses all keys of versions above base and goes on in the next epoch.
func (v *versionedWorld) failover(base shardmap.Version) {
	v.set(func() {
		v.epoch++
		v.base, v.next = base, shardmap.MakeVersion(v.next.Epoch()+1, 0)
		for key, k := range v.keys {
			if k.version > base {
				delete(v.keys, key)
			}
		}
	})
}

func (v *versionedWorld) checkLocked(token string) []byte {
	_, marks, _ := parseToken(token)
	b := resp.AppendArray(nil, len(marks))
	for _, m := range marks {
		word := "durable"
		if m.version > v.base && m.version.Epoch() < v.next.Epoch() {
			word = "lost"
		}
		if v.mute {
			word = "unknown"
		}
		b = resp.AppendInt(resp.AppendInt(resp.AppendArray(b, 3), int64(m.shard)), int64(m.version))
		b = resp.AppendBulk(b, word)
	}
	return b
}

func TestSwapComparesVersions(t *testing.T) {
	w := newWorld(t, 2)
	versions(w)
	k := keeper{c: open1(t, quick(w.seeds()))}
	v1, err := k.swap(ctx, "k", []byte("a"), time.Minute, 0)
	if err != nil || v1 == 0 {
		t.Fatal(v1, err)
	}
	wantOther := func(err error) {
		t.Helper()
		var e *VersionError
		if !errors.As(err, &e) || e.Current != v1 {
			t.Error(err)
		}
	}
	wantOther(second(k.swap(ctx, "k", []byte("b"), time.Minute, 0)))
	if at, err := k.look(ctx, "k"); at.version != v1 || string(at.value) != "a" || err != nil {
		t.Error(at, err)
	}
	wantOther(k.drop(ctx, "k", v1+1))
	if err := k.drop(ctx, "k", v1); err != nil {
		t.Error(err)
	}
	if at, err := k.look(ctx, "k"); at.version != 0 || err != nil {
		t.Error(at, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAServerWithoutVersionsIsTold(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	if err := c.Set(ctx, "k", nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetOrLoad(ctx, "k", time.Minute, nil)
	wantIs(t, err, ErrUnsupported)
	wantIs(t, c.Session().Set(ctx, "k", nil), ErrUnsupported)
}

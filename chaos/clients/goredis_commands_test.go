//lint:file-ignore SA1019 every method counts here, the deprecated ones too

package clients

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// said is what a command gave through a client, and what it should give.
type said struct {
	name      string
	got, want any
}

// refused is wanted of commands that the server does not have: an error with these words.
type refused string

// between is wanted of numbers that depend on the time or the data.
type between struct{ least, most int64 }

func (s said) wrong() error {
	ok := reflect.DeepEqual(s.got, s.want)
	err, failed := s.got.(error)
	switch want := s.want.(type) {
	case refused:
		ok = failed && strings.Contains(err.Error(), string(want))
	case between:
		n := reflect.ValueOf(s.got)
		ok = !failed && n.CanInt() && n.Int() >= want.least && n.Int() <= want.most
	}
	if ok {
		return nil
	}
	return fmt.Errorf("%s gives %#v %v, want %v", s.name, s.got, s.got, s.want)
}

func allWrong(all ...[]said) (err error) {
	for _, s := range slices.Concat(all...) {
		err = errors.Join(err, s.wrong())
	}
	return err
}

// about is a duration that began a moment ago.
func about(d time.Duration) between { return between{int64(d - time.Minute), int64(d)} }

// goRedisCommands runs every method that go-redis offers for strings and keys, and a
// transaction. The keys' edge cases are compareGoRedis's. walk is where the commands about
// all keys go: the node of the key k, or a gateway.
func goRedisCommands(ctx context.Context, c, walk redis.Cmdable) error {
	tx, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "{m}", 5, 0); p.Incr(ctx, "{m}"); return nil })
	if err != nil || tx[1].(*redis.IntCmd).Val() != 6 {
		return fmt.Errorf("a transaction: %v", err)
	}
	all := slices.Concat(goRedisStrings(ctx, c), goRedisRefused(ctx, c), goRedisKeys(ctx, c), goRedisTimes(ctx, c), goRedisWalks(ctx, walk))
	return errors.Join(allWrong(all), goRedisLeftOut(all))
}

// goRedisLeftOut are methods for strings and keys that were not run.
func goRedisLeftOut(all []said) (err error) {
	run := map[string]bool{}
	for _, s := range all {
		name, _, _ := strings.Cut(s.name, " ")
		run[name] = true
	}
	for _, offered := range []reflect.Type{reflect.TypeFor[redis.StringCmdable](), reflect.TypeFor[redis.GenericCmdable]()} {
		for i := range offered.NumMethod() {
			if name := offered.Method(i).Name; !run[name] {
				err = errors.Join(err, fmt.Errorf("%s was not called", name))
			}
		}
	}
	return err
}

func goRedisStrings(ctx context.Context, c redis.Cmdable) []said {
	buf := make([]byte, 16)
	return []said{
		{"Set", answer(c.Set(ctx, "k", "v", 0).Result()), "OK"},
		{"Get", answer(c.Get(ctx, "k").Result()), "v"},
		{"Get of nothing", answer(c.Get(ctx, "none").Result()), nil},
		{"GetToBuffer", answer(c.GetToBuffer(ctx, "k", buf).Result()), 1},
		{"SetFromBuffer", answer(c.SetFromBuffer(ctx, "k", []byte("v")).Result()), "OK"},
		{"Set KEEPTTL", answer(c.Set(ctx, "k", "v", redis.KeepTTL).Result()), "OK"},
		{"SetArgs GET", answer(c.SetArgs(ctx, "k", "w", redis.SetArgs{Mode: "XX", Get: true, TTL: time.Hour}).Result()), "v"},
		{"SetArgs EXAT", answer(c.SetArgs(ctx, "k", "v", redis.SetArgs{ExpireAt: time.Now().Add(time.Hour)}).Result()), "OK"},
		{"SetEx", answer(c.SetEx(ctx, "k", "v", time.Hour).Result()), "OK"},
		{"SetNX", answer(c.SetNX(ctx, "k", "w", time.Hour).Result()), false},
		{"SetXX", answer(c.SetXX(ctx, "k", "v", time.Hour).Result()), true},
		{"SetIFEQ", answer(c.SetIFEQ(ctx, "k", "w", "v", 0).Result()), "OK"},
		{"SetIFEQ of another", answer(c.SetIFEQ(ctx, "k", "x", "v", 0).Result()), nil},
		{"SetIFEQGet", answer(c.SetIFEQGet(ctx, "k", "v", "w", 0).Result()), "w"},
		{"GetSet", answer(c.GetSet(ctx, "k", "w").Result()), "v"},
		{"GetEx", answer(c.GetEx(ctx, "k", time.Hour).Result()), "w"},
		{"GetDel", answer(c.GetDel(ctx, "k").Result()), "w"},
		{"Append", answer(c.Append(ctx, "k", "vw").Result()), int64(2)},
		{"StrLen", answer(c.StrLen(ctx, "k").Result()), int64(2)},
		{"GetRange", answer(c.GetRange(ctx, "k", 1, -1).Result()), "w"},
		{"SetRange", answer(c.SetRange(ctx, "k", 1, "x").Result()), int64(2)},
		{"MSet", answer(c.MSet(ctx, "{t}a", 1, "{t}b", 2).Result()), "OK"},
		{"MSetNX", answer(c.MSetNX(ctx, "{t}a", 1, "{t}c", 2).Result()), false},
		{"MGet", answer(c.MGet(ctx, "{t}a", "{t}b", "{t}c").Result()), []any{"1", "2", nil}},
		{"Incr", answer(c.Incr(ctx, "{t}a").Result()), int64(2)},
		{"IncrBy", answer(c.IncrBy(ctx, "{t}a", 5).Result()), int64(7)},
		{"Decr", answer(c.Decr(ctx, "{t}a").Result()), int64(6)},
		{"DecrBy", answer(c.DecrBy(ctx, "{t}a", 2).Result()), int64(4)},
		{"IncrByFloat", answer(c.IncrByFloat(ctx, "{t}a", 0.5).Result()), 4.5},
		{"MSet of texts", answer(c.MSet(ctx, "{l}a", "ohmytext", "{l}b", "mynewtext").Result()), "OK"},
		{"LCS", answer(c.LCS(ctx, &redis.LCSQuery{Key1: "{l}a", Key2: "{l}b"}).Result()), &redis.LCSMatch{MatchString: "mytext"}},
		{"LCS LEN", answer(c.LCS(ctx, &redis.LCSQuery{Key1: "{l}a", Key2: "{l}b", Len: true}).Result()), &redis.LCSMatch{Len: 6}},
	}
}

// goRedisRefused are what this server does not promise: what came with Redis 8 and what is
// for other types and databases. A client must be told so by an error.
func goRedisRefused(ctx context.Context, c redis.Cmdable) []said {
	return []said{
		{"Digest", answer(c.Digest(ctx, "k").Result()), refused("unknown command")},
		{"DelExArgs", answer(c.DelExArgs(ctx, "k", redis.DelExArgs{Mode: "IFEQ", MatchValue: "v"}).Result()), refused("unknown command")},
		{"MSetEX", answer(c.MSetEX(ctx, redis.MSetEXArgs{}, "{t}a", 1).Result()), refused("unknown command")},
		{"IncrEXInt", answer(c.IncrEXInt(ctx, "k", redis.IncrEXIntArgs{}).Result()), refused("unknown command")},
		{"IncrEXFloat", answer(c.IncrEXFloat(ctx, "k", redis.IncrEXFloatArgs{}).Result()), refused("unknown command")},
		{"SetIFNE", answer(c.SetIFNE(ctx, "k", "x", "v", 0).Result()), refused("syntax error")},
		{"SetIFNEGet", answer(c.SetIFNEGet(ctx, "k", "x", "v", 0).Result()), refused("syntax error")},
		{"SetIFDEQ", answer(c.SetIFDEQ(ctx, "k", "x", 1, 0).Result()), refused("syntax error")},
		{"SetIFDEQGet", answer(c.SetIFDEQGet(ctx, "k", "x", 1, 0).Result()), refused("syntax error")},
		{"SetIFDNE", answer(c.SetIFDNE(ctx, "k", "x", 1, 0).Result()), refused("syntax error")},
		{"SetIFDNEGet", answer(c.SetIFDNEGet(ctx, "k", "x", 1, 0).Result()), refused("syntax error")},
		{"ObjectIdleTime", answer(c.ObjectIdleTime(ctx, "k").Result()), refused("not tracked")},
		{"Move", answer(c.Move(ctx, "k", 1).Result()), refused("one database")},
		{"Migrate", answer(c.Migrate(ctx, "127.0.0.1", "1", "k", 0, time.Second).Result()), refused("moved by the cluster")},
		{"Sort", answer(c.Sort(ctx, "k", &redis.Sort{}).Result()), refused("strings only")},
		{"SortRO", answer(c.SortRO(ctx, "k", &redis.Sort{}).Result()), refused("strings only")},
		{"SortStore", answer(c.SortStore(ctx, "{t}a", "{t}b", &redis.Sort{}).Result()), refused("strings only")},
		{"SortInterfaces", answer(c.SortInterfaces(ctx, "k", &redis.Sort{}).Result()), refused("strings only")},
	}
}

func goRedisKeys(ctx context.Context, c redis.Cmdable) []said {
	form := c.Dump(ctx, "{t}b").Val()
	return []said{
		{"Dump", form != "", true},
		{"Exists", answer(c.Exists(ctx, "{t}a", "{t}b", "{t}c").Result()), int64(2)},
		{"Touch", answer(c.Touch(ctx, "{t}a", "{t}c").Result()), int64(1)},
		{"Type", answer(c.Type(ctx, "{t}a").Result()), "string"},
		{"ObjectEncoding", answer(c.ObjectEncoding(ctx, "{t}b").Result()), "int"},
		{"ObjectRefCount", answer(c.ObjectRefCount(ctx, "{t}b").Result()), int64(1)},
		{"ObjectFreq", answer(c.ObjectFreq(ctx, "{t}b").Result()), between{0, 3}},
		{"Rename", answer(c.Rename(ctx, "{t}a", "{t}d").Result()), "OK"},
		{"RenameNX", answer(c.RenameNX(ctx, "{t}d", "{t}b").Result()), false},
		{"Copy", answer(c.Copy(ctx, "{t}d", "{t}b", 0, true).Result()), int64(1)},
		{"Restore", answer(c.Restore(ctx, "{t}e", time.Hour, form).Result()), "OK"},
		{"RestoreReplace", answer(c.RestoreReplace(ctx, "{t}d", 0, form).Result()), "OK"},
		{"what was restored", answer(c.MGet(ctx, "{t}b", "{t}d", "{t}e").Result()), []any{"4.5", "2", "2"}},
		{"Del", answer(c.Del(ctx, "{t}d", "{t}e", "{t}c").Result()), int64(2)},
		{"Unlink", answer(c.Unlink(ctx, "{t}b").Result()), int64(1)},
	}
}

func goRedisTimes(ctx context.Context, c redis.Cmdable) []said {
	at := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	since1970 := time.Duration(at.UnixNano())
	return []said{
		{"Expire", answer(c.Expire(ctx, "k", time.Hour).Result()), true},
		{"TTL", answer(c.TTL(ctx, "k").Result()), about(time.Hour)},
		{"ExpireNX", answer(c.ExpireNX(ctx, "k", time.Hour).Result()), false},
		{"ExpireXX", answer(c.ExpireXX(ctx, "k", time.Hour).Result()), true},
		{"ExpireGT", answer(c.ExpireGT(ctx, "k", time.Minute).Result()), false},
		{"ExpireLT", answer(c.ExpireLT(ctx, "k", 30*time.Minute).Result()), true},
		{"PExpire", answer(c.PExpire(ctx, "k", time.Hour).Result()), true},
		{"PTTL", answer(c.PTTL(ctx, "k").Result()), about(time.Hour)},
		{"ExpireAt", answer(c.ExpireAt(ctx, "k", at).Result()), true},
		{"ExpireTime", answer(c.ExpireTime(ctx, "k").Result()), since1970},
		{"PExpireAt", answer(c.PExpireAt(ctx, "k", at).Result()), true},
		{"PExpireTime", answer(c.PExpireTime(ctx, "k").Result()), since1970},
		{"Persist", answer(c.Persist(ctx, "k").Result()), true},
		{"TTL of no time", answer(c.TTL(ctx, "k").Result()), time.Duration(-1)},
	}
}

// goRedisWalks are the commands about all keys of a server.
func goRedisWalks(ctx context.Context, n redis.Cmdable) []said {
	all := func(it *redis.ScanIterator) (keys []string, err error) {
		for it.Next(ctx) {
			keys = append(keys, it.Val())
		}
		return keys, it.Err()
	}
	return []said{
		{"Scan", answer(all(n.Scan(ctx, 0, "k", 1<<20).Iterator())), []string{"k"}},
		{"ScanType", answer(all(n.ScanType(ctx, 0, "k", 1<<20, "string").Iterator())), []string{"k"}},
		{"Keys", answer(n.Keys(ctx, "[k]").Result()), []string{"k"}},
		{"RandomKey", answer(n.RandomKey(ctx).Val() != "", nil), true},
		{"DBSize", answer(n.DBSize(ctx).Result()), between{1, 10}},
	}
}

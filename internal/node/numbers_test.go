package node

import (
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// TestNumbersOfOpsAreThoseOfCommands: backend.Do casts them.
func TestNumbersOfOpsAreThoseOfCommands(t *testing.T) {
	kinds := map[redis.Kind]statemachine.Kind{
		redis.OpSet: statemachine.Set, redis.OpDel: statemachine.Del, redis.OpGetDel: statemachine.GetDel, redis.OpGetEx: statemachine.GetEx,
		redis.OpAppend: statemachine.Append, redis.OpIncrBy: statemachine.IncrBy, redis.OpExpire: statemachine.Expire,
		redis.OpPersist: statemachine.Persist, redis.OpFlush: statemachine.Flush, redis.OpSetRange: statemachine.SetRange,
		redis.OpIncrByFloat: statemachine.IncrByFloat,
	}
	for op, kind := range kinds {
		if uint8(op) != uint8(kind) {
			t.Errorf("op %d is kind %d", op, kind)
		}
	}
	modes := map[redis.TTLMode]statemachine.TTLMode{
		redis.TTLClear: statemachine.TTLClear, redis.TTLKeep: statemachine.TTLKeep, redis.TTLRelative: statemachine.TTLRelative,
		redis.TTLAbsolute: statemachine.TTLAbsolute,
	}
	for op, mode := range modes {
		if uint8(op) != uint8(mode) {
			t.Errorf("TTL mode %d is %d", op, mode)
		}
	}
	conds := map[redis.Cond]statemachine.Cond{
		redis.Always: statemachine.Always, redis.NX: statemachine.NX, redis.XX: statemachine.XX, redis.GT: statemachine.GT,
		redis.LT: statemachine.LT, redis.LTX: statemachine.LTX,
	}
	for op, cond := range conds {
		if uint8(op) != uint8(cond) {
			t.Errorf("condition %d is %d", op, cond)
		}
	}
}

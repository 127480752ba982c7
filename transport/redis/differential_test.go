package redis

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/judge"
)

// same lists commands whose replies must be those of redis-server, byte by byte,
// in order, on one connection. "~" before a command: a number within 2 of it.
const same = `
GET k
SET k v1
GET k
SET k v2 NX
SET k v2 XX
SET none v XX
SET k v3 GET
SET k v4 XX GET
SET k v4 NX GET
SET fresh v NX GET
SET k v EX 100
~ TTL k
SET k v PX 100000
~ TTL k
SET k v KEEPTTL
~ TTL k
SET k v
TTL k
PTTL k
SET k v EXAT 4102444800
~ TTL k
SET k v PXAT 4102444800000
~ TTL k
SET k v EX 10 EX 20
~ TTL k
SET k v NX NX
SET k v keepttl KEEPTTL
~ TTL k
SET k v ex 20 get
SET past v EXAT 1
GET past
SET k v EX 0
SET k v EX -1
SET k v EX many
SET k v EX 1x BOGUS
SET k v EX +5
SET k v EX 05
SET k v EX
SET k v PX 9223372036854775807
SET k v EX 9223372036854775807
SET k v EX 9223372036854775
SET k v PXAT 9223372036854775807
SET k v EXAT 9223372036854776
SET k v NX XX
SET k v EX 1 PX 1
SET k v EX 1 KEEPTTL
SET k v KEEPTTL EX 1
SET k v BOGUS
SET k v NX bogus
SET k
SET
GET
GET a b
SET "" ""
GET ""
STRLEN ""
SET bin "\x00\r\n\xff"
GET bin
SET g v EX 100
GETEX g
~ TTL g
GETEX g PERSIST
TTL g
GETEX g EX 50
~ TTL g
GETEX g PX 70000
~ TTL g
GETEX g EXAT 4102444800
GETEX g PXAT 4102444800000
~ TTL g
GETEX g EX 0
GETEX g EX x
GETEX g BOGUS
GETEX g EX
GETEX g EX 1 PERSIST
GETEX g PERSIST PERSIST
GETEX g EX 5 EX 60
~ TTL g
GETEX g KEEPTTL
GETEX g PX 9223372036854775807
GETEX none
GETEX
GETDEL g
GETDEL g
GETDEL
MSET {m}1 a {m}2 b {m}3 c
MGET {m}1 {m}2 {m}none {m}3
MSETNX {n}1 a {n}2 b
MSETNX {n}2 a {n}3 b
MSETNX {n}1
MSETNX x1 a x2 b
MGET {n}1 {n}2 {n}3
SETNX nx a
SETNX nx b
SETEX nx 100 c
~ TTL nx
~ EXPIRETIME nx
SETEX nx 0 c
SETEX nx x c
PSETEX nx 100000 d
~ TTL nx
PSETEX nx -1 d
GETSET nx e
GETSET nx2 e
TTL nx
EXPIRETIME nx
PEXPIRETIME none
TYPE nx
TYPE none
TOUCH nx none
GETRANGE nx 0 -1
SETRANGE nx 3 abc
SETRANGE nx -1 abc
SETRANGE nx 536870912 abc
SETRANGE none 3 ""
SUBSTR nx 1 3
INCRBYFLOAT f 1.5
INCRBYFLOAT f x
MSET {m}1 a {m}2
MSET {m}1 a {m}1 b
GET {m}1
MGET
MSET
EXISTS {m}1 {m}1 {m}none
EXISTS none
EXISTS
DEL {m}1 {m}none
DEL {m}1
UNLINK {m}2 {m}3
DEL
MGET x1 x2
MSET x1 a x2 b
DEL x1 x2
UNLINK x1 x2
EXISTS x1 x2
INCR n
INCRBY n 41
DECR n
DECRBY n 100
GET n
INCRBY n x
INCRBY n +1
INCRBY n 01
INCRBY n -0
INCRBY n 9223372036854775808
SET n 9223372036854775807
INCR n
SET n -9223372036854775808
DECR n
INCRBY n -1
DECRBY n -9223372036854775808
INCRBY n 9223372036854775807
SET n 12a
INCR n
SET n " 1"
INCR n
SET n 01
INCR n
SET n 5 EX 100
INCR n
~ TTL n
INCR
DECRBY n
APPEND app hello
APPEND app " world"
GET app
STRLEN app
STRLEN none
EXPIRE app 100
APPEND app !
~ TTL app
APPEND app ""
APPEND
STRLEN
SET e v
EXPIRE e 100
~ TTL e
EXPIRE e 50 NX
EXPIRE e 50 GT
EXPIRE e 150 GT
EXPIRE e 200 LT
EXPIRE e 120 LT
EXPIRE e 130 XX
EXPIRE e 140 XX GT
EXPIRE e 90 XX LT
~ TTL e
PERSIST e
PERSIST e
EXPIRE e 10 GT
EXPIRE e 10 XX
EXPIRE e 10 XX LT
EXPIRE e 1000 LT
PERSIST e
EXPIRE e 1000 NX
EXPIRE e 10 NX XX
EXPIRE e 10 NX GT
EXPIRE e 10 GT LT
EXPIRE e 10 BOGUS
EXPIRE e x
EXPIRE e x BOGUS
EXPIRE e 9223372036854775807
EXPIRE e -9223372036854775808
EXPIRE e 9223372036854775
PEXPIRE e 9223372036854775807
PEXPIRE e 100000
~ TTL e
EXPIREAT e 4102444800
~ TTL e
EXPIREAT e 9223372036854775807
PEXPIREAT e 4102444800000
~ TTL e
PEXPIREAT e 4102444800000 GT
PEXPIREAT e 1
GET e
TTL e
PTTL e
SET e v
EXPIRE e -1
EXISTS e
SET e v
EXPIRE e 0
EXISTS e
EXPIRE none 10
PERSIST none
PERSIST
TTL
TTL none
EXPIRE e
PING
PING hello
PING a b
ECHO x
ECHO
SELECT 0
SELECT x
SELECT
AUTH x
AUTH default x
AUTH me x
AUTH a b c
AUTH
HELLO 9
HELLO x
HELLO 3 AUTH
HELLO 3 SETNAME "a b"
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "a b"
CLIENT SETNAME
CLIENT NOPE
CLIENT
READONLY
READWRITE
ASKING
READONLY x
CLUSTER KEYSLOT foo
CLUSTER KEYSLOT {foo}bar
CLUSTER KEYSLOT
CLUSTER NOPE
CLUSTER REPLICAS x
CLUSTER REPLICAS
CLUSTER SLAVES "a b"
CLUSTER COUNT-FAILURE-REPORTS x
CLUSTER COUNT-FAILURE-REPORTS
CLUSTER
COMMAND NOPE
CONFIG NOPE
CONFIG GET
CONFIG GET save
CONFIG GET appendonly nothing
DBSIZE x
ROLE
TIME x
WAIT 0 0
WAIT 1 10
WAIT x 1
WAIT 1 x
WAIT 1 -1
WAIT 1
FOO
FOO a b c
FOO "a\r\nb"
"fo\r\no" a
FLUSHALL NOW
FLUSHALL ASYNC
FLUSHALL SYNC
DBSIZE
RESET
`

func TestRepliesAreThoseOfRedis(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	for _, proto := range []string{"2", "3"} {
		us, redis := dial(t, addr), dial(t, real)
		us.do("HELLO", proto)
		redis.do("HELLO", proto)
		for _, line := range strings.Split(strings.TrimSpace(same), "\n") {
			near := strings.HasPrefix(line, "~ ")
			line = strings.TrimPrefix(line, "~ ")
			us.send(line + "\r\n")
			redis.send(line + "\r\n")
			got, want := us.raw(), redis.raw()
			if got == want || near && judge.Within(got, want, 2) {
				continue
			}
			t.Errorf("RESP%s %s: %q, redis says %q", proto, line, got, want)
		}
	}
}

// raw reads one reply as the bytes it came in.
func (p *peer) raw() string {
	p.t.Helper()
	reply, err := judge.ReadRaw(p.r)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply
}

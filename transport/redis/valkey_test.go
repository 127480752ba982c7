package redis

import (
	"strings"
	"testing"
)

// newer are commands that redis-server 7.0 lacks, with the replies that their
// documents (Valkey 9: SET, DELIFEQ) give: command, "->", reply in RESP2.
const newer = `
SET k v IFEQ x -> $-1
GET k -> $-1
SET k v IFEQ "" -> $-1
SET k v1 -> +OK
SET k v2 IFEQ x -> $-1
SET k v2 IFEQ v -> $-1
SET k v2 ifeq v1 -> +OK
GET k -> v2
SET k v3 IFEQ x GET -> v2
GET k -> v2
SET k v3 IFEQ v2 GET -> v2
GET k -> v3
SET none v IFEQ v GET -> $-1
EXISTS none -> :0
SET k v4 IFEQ v3 EX 100 -> +OK
TTL k -> :100
SET k v5 IFEQ v4 KEEPTTL -> +OK
TTL k -> :100
SET k v6 EX 10 IFEQ x -> $-1
TTL k -> :100
SET k v6 IFEQ v5 -> +OK
TTL k -> :-1
SET k v7 IFEQ v6 NX -> -ERR syntax error
SET k v7 XX IFEQ v6 -> -ERR syntax error
SET k v7 IFEQ v6 IFEQ v6 -> -ERR syntax error
SET k v7 IFEQ -> -ERR syntax error
SET k v7 IFEQ v6 EX 0 -> -ERR invalid expire time in 'set' command
SET k "" IFEQ v6 -> +OK
SET k v8 IFEQ "" -> +OK
GET k -> v8
DELIFEQ k v -> :0
DELIFEQ k v8 -> :1
GET k -> $-1
DELIFEQ k v8 -> :0
DELIFEQ k "" -> :0
DELIFEQ k -> -ERR wrong number of arguments for 'delifeq' command
DELIFEQ k v w -> -ERR wrong number of arguments for 'delifeq' command
CLUSTER SLOT-STATS SLOTSRANGE 0 16384 -> -ERR Invalid or out of range slot
CLUSTER SLOT-STATS SLOTSRANGE -1 2 -> -ERR Invalid or out of range slot
CLUSTER SLOT-STATS SLOTSRANGE 2 x -> -ERR Invalid or out of range slot
CLUSTER SLOT-STATS SLOTSRANGE 2 1 -> -ERR Start slot number 2 is greater than end slot number 1
CLUSTER SLOT-STATS SLOTSRANGE 2 -> -ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.
CLUSTER SLOT-STATS NOPE 1 2 -> -ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.
CLUSTER SLOT-STATS ORDERBY -> -ERR wrong number of arguments for 'cluster|slot-stats' command
CLUSTER SLOT-STATS ORDERBY cpu-usec -> -ERR Unrecognized sort metric for ORDERBY.
CLUSTER SLOT-STATS ORDERBY key-count LIMIT 0 -> -ERR Limit has to lie in between 1 and 16384 (maximum number of slots).
CLUSTER SLOT-STATS ORDERBY key-count LIMIT x -> -ERR Limit has to lie in between 1 and 16384 (maximum number of slots).
CLUSTER SLOT-STATS ORDERBY key-count LIMIT -> -ERR syntax error
CLUSTER SLOT-STATS ORDERBY key-count ASC DESC -> -ERR Multiple filters of the same type are disallowed.
CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1 LIMIT 1 -> -ERR Multiple filters of the same type are disallowed.
CLUSTER SLOT-STATS ORDERBY key-count NOPE -> -ERR syntax error
`

func TestNewerCommandsAnswerAsDocumented(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	for _, line := range strings.Split(strings.TrimSpace(newer), "\n") {
		command, want, _ := strings.Cut(line, " -> ")
		p.send(command + "\r\n")
		got := p.raw()
		if bulk, is := strings.CutPrefix(got, "$"); is && !strings.HasPrefix(bulk, "-") {
			_, got, _ = strings.Cut(bulk, "\r\n")
		}
		if got = strings.TrimSuffix(got, "\r\n"); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Reply is an answer as it came: Kind is the RESP3 type byte, Text, Int and Items are the
// value. A nil answer has IsNull.
type Reply = resp.Reply

// Do sends any command, for those that have no method here, with the same routing,
// redirects and retries. Arguments are strings, []byte, bool (as 1 and 0), integers and
// floats. The node is chosen by the first key; a command without a key goes to some node.
//
// Only commands known to change nothing are sent again after an unknown outcome.
// What changes the connection itself or holds it up (SUBSCRIBE, MULTI, WATCH, SELECT, WAIT,
// CLIENT REPLY, ...) is refused: connections are shared by all callers.
func (c *Client) Do(ctx context.Context, args ...any) (Reply, error) {
	cmd, err := rawCommand(args)
	if err != nil {
		return Reply{}, c.mistake(cmd.name(), cmd.key, err)
	}
	a, err := c.do(ctx, &cmd)
	return a.Reply, err
}

// DoNode is Do at the node with this address, and no other: what it answers is the
// answer, a redirect too.
func (c *Client) DoNode(ctx context.Context, addr string, args ...any) (Reply, error) {
	cmd, err := rawCommand(args)
	if err != nil {
		return Reply{}, c.mistake(cmd.name(), cmd.key, err)
	}
	cmd.at = addr
	a, err := c.do(ctx, &cmd)
	return a.Reply, err
}

// rawCommand is the command of a caller's words.
func rawCommand(args []any) (command, error) {
	cmd := command{op: opWrite, words: []string{""}}
	if len(args) == 0 {
		return cmd, errors.New("client: Do without a command")
	}
	cmd.words = make([]string, len(args))
	for i, a := range args {
		w, err := wordOf(a)
		if err != nil {
			return cmd, fmt.Errorf("argument %d: %w", i, err)
		}
		cmd.words[i] = w
	}
	cmd.words[0] = strings.ToUpper(cmd.words[0])
	if owned(cmd.words) {
		return cmd, fmt.Errorf("client: %s belongs to a connection, and all callers share theirs", cmd.words[0])
	}
	if readingWords[cmd.words[0]] {
		cmd.op = opRead
	}
	if i := keyAt(cmd.words); i < len(cmd.words) {
		cmd.key = cmd.words[i]
	}
	return cmd, nil
}

func wordOf(a any) (string, error) {
	switch a := a.(type) {
	case string:
		return a, nil
	case []byte:
		return string(a), nil
	case bool:
		if a {
			return "1", nil
		}
		return "0", nil
	case int:
		return strconv.Itoa(a), nil
	case int64:
		return strconv.FormatInt(a, 10), nil
	case Version:
		return strconv.FormatUint(uint64(a), 10), nil
	case float64:
		return strconv.FormatFloat(a, 'g', -1, 64), nil
	case uint, uint64, int32, uint32, int16, uint16, int8, uint8, float32:
		return fmt.Sprint(a), nil
	}
	return "", fmt.Errorf("client: %T is no argument of a command", a)
}

// noKey are commands that name no key. All others are taken to name one, at
// position 1 unless keyAt knows better: a command that this list does not know yet then
// costs a redirect at most.
var noKey = wordSet("ACL AEGIS.ADMIN AEGIS.CHECK AEGIS.DURABILITY AEGIS.MAP AEGIS.TOKEN BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE " +
	"DEBUG ECHO FLUSHALL FLUSHDB INFO KEYS LASTSAVE LATENCY MODULE PING PUBLISH RANDOMKEY ROLE SCAN SCRIPT SLOWLOG SWAPDB TIME")

// readingWords are commands that change nothing.
var readingWords = wordSet("CLUSTER COMMAND DBSIZE DUMP ECHO EVAL_RO EVALSHA_RO EXISTS EXPIRETIME GET GETRANGE INFO KEYS LASTSAVE MGET OBJECT " +
	"PEXPIRETIME PING PTTL RANDOMKEY ROLE SCAN STRLEN SUBSTR TIME TOUCH TTL TYPE AEGIS.CHECK AEGIS.MAP")

// ownedWords are commands about the connection.
var ownedWords = wordSet("ASKING AUTH DISCARD EXEC HELLO MONITOR MULTI PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT READONLY READWRITE RESET SELECT SSUBSCRIBE " +
	"SUBSCRIBE SUNSUBSCRIBE SYNC UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH AEGIS.DURABILITY AEGIS.TOKEN " +
	"BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN") // of other servers: all callers would wait

// ownedClient are subcommands of CLIENT about the connection.
var ownedClient = wordSet("CACHING CAPA DEADLINE MAINT_NOTIFICATIONS NO-EVICT NO-TOUCH REPLY SETINFO SETNAME TRACKING")

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

func owned(words []string) bool {
	blocks := (words[0] == "XREAD" || words[0] == "XREADGROUP") && slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, "BLOCK") })
	return blocks || ownedWords[words[0]] || words[0] == "CLIENT" && len(words) > 1 && ownedClient[strings.ToUpper(words[1])]
}

// keyAt is the position of the first key, beyond the words when there is none.
func keyAt(words []string) int {
	switch words[0] {
	case "OBJECT", "MEMORY", "BITOP", "XGROUP", "XINFO":
		return 2
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		if len(words) > 2 && words[2] == "0" {
			return len(words)
		}
		return 3
	}
	if noKey[words[0]] {
		return len(words)
	}
	return 1
}

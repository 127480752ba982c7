package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/transport/redis"
)

var rewrite = flag.Bool("rewrite", false, "write docs/redis-compatibility.md")

const (
	compatibilityPage = "../../docs/redis-compatibility.md"
	clientResults     = "../../docs/redis-clients.json"
)

// clientResult is what the tests of real clients wrote of one of them.
type clientResult struct {
	Client  string            `json:"client"`
	Version string            `json:"version"`
	Date    string            `json:"date"`
	Phases  map[string]string `json:"phases"` // "ok", or what failed
	Moved   string            `json:"moved"`  // what it was told of moved slots in the move
}

// phases are the columns of the client table, in order.
var phases = []string{"commands", "routing", "move", "kill"}

// TestThePageOnCompatibilityIsUpToDate makes docs/redis-compatibility.md of the command
// table, the list of differences and the results of the real clients, and compares. It
// looks at no server, so that it costs nothing to run after every change of the table.
func TestThePageOnCompatibilityIsUpToDate(t *testing.T) {
	page := compatibility(t)
	if *rewrite {
		if err := os.WriteFile(compatibilityPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(compatibilityPage); err != nil || !bytes.Equal(have, page) {
		say := t.Logf // branches that each add a command would fail as soon as they meet
		if os.Getenv("AEGIS_TEST_ALL") == "1" {
			say = t.Errorf
		}
		say("docs/redis-compatibility.md is not what the command table, the differences and the clients say (%v). Run: make docs", err)
	}
}

func compatibility(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Redis compatibility\n\n" +
		"Written by `make docs` from the command table (transport/redis), the list of differences (internal/node) and what the\n" +
		"tests of real clients found (docs/redis-clients.json); a test keeps it up to date. Do not edit it by hand.\n\n" +
		"AegisKV answers as Redis 7 does, in RESP2 and RESP3: every command below, in all its options and error cases, is\n" +
		"compared with a real redis-server by random sequences (`go test ./internal/node -run RandomSequences`; 5,000 in every\n" +
		"run, AEGIS_TEST_SEQUENCES for more) and by fixed lists (transport/redis, chaos/clients). Keys of one command must lie in\n" +
		"one slot, as in Redis Cluster. How a published test suite fares: [redis-suite.md](redis-suite.md).\n")
	served, refused := redis.Document()
	writeServed(&b, served)
	writeDifferences(&b)
	writeRefused(&b, refused)
	writeGateway(&b, redis.DocumentGateway())
	writeClients(t, &b)
	return b.Bytes()
}

func writeServed(b *bytes.Buffer, rows []redis.CommandRow) {
	b.WriteString("\n## Commands\n\nArity as in Redis: exact, or with a minus at least so many words, the name included.\n\n| command | arity | rights | flags | |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", r.Name, r.Arity, r.Rights, r.Flags, strings.ReplaceAll(r.Summary, "|", `\|`))
	}
}

func writeDifferences(b *bytes.Buffer) {
	b.WriteString("\n## What is different, and why\n\n")
	for _, d := range differences {
		fmt.Fprintf(b, "- %s\n", d.reason)
	}
}

func writeRefused(b *bytes.Buffer, refused map[string]string) {
	b.WriteString("\n## What is refused\n\nThese answer an error that names the reason.\n\n| reason | commands |\n|---|---|\n")
	writeReasons(b, refused)
}

// writeGateway says what a client finds on the gateway port.
func writeGateway(b *bytes.Buffer, refused map[string]string) {
	b.WriteString("\n## The gateway port\n\nOne standalone server on every node. SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHALL and FLUSHDB mean the whole cluster, shard by\n" +
		"shard: they are right while shards move, and an error where a shard is not served. MGET, MSET, DEL, UNLINK, EXISTS and TOUCH\n" +
		"take keys of any slots, not atomically. CLIENT TRACKING is taken in all modes and remembers nothing: every key is taken back\n" +
		"right behind the reply that gave it, so clients that insist on it work (rueidis, whose DoCache then asks each time) and\n" +
		"none caches. The reason: a holder's invalidations come by another connection than its replies, in no order with\n" +
		"them, and each gateway would have to hear of every write. To cache, use the client port. Refused there:\n\n| answer | commands |\n|---|---|\n")
	writeReasons(b, refused)
}

func writeReasons(b *bytes.Buffer, refused map[string]string) {
	by := map[string][]string{}
	for name, reason := range refused {
		by[reason] = append(by[reason], strings.ReplaceAll(name, "|", " "))
	}
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[reason])
		fmt.Fprintf(b, "| %s | %s |\n", reason, strings.Join(by[reason], " "))
	}
}

func writeClients(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	raw, err := os.ReadFile(clientResults)
	if err != nil {
		t.Fatal(err)
	}
	var results []clientResult
	if err := json.Unmarshal(raw, &results); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n## Clients\n\nReal clients against three nodes (`make clients`). *Commands*: what the client offers for strings and keys.\n" +
		"*Routing*: leases in 256 interleaved ranges, no MOVED once the map is known. *Move*: under load the node that leads most\n" +
		"leaves by SIGTERM and comes back, twice, so that half of the leases move at least. *Kill*: under load the node that leads\n" +
		"most is killed by kill -9 and comes back. Errors while that lasts are not counted; of the 200 operations that follow none\n" +
		"may fail, and values read must be those written. Not run, for the registries at hand do not have them: Jedis and Lettuce\n" +
		"(Maven), memtier_benchmark, and redis-py newer than Debian's. redis-cli keeps no map: it asks anywhere and follows. Each\n" +
		"step of its load and of redis-benchmark's is a process of its own. redis-benchmark takes no cluster in which one node\n" +
		"serves all, as here for half a minute after two were away; then it is pointed at that node as a single server.\n" +
		"MOVED is counted inside go-redis, four connections writing and reading all the while; it follows them by itself.\n\n")
	fmt.Fprintf(b, "| client | version | %s | MOVED in the move | on |\n|---|---|%s---|---|\n", strings.Join(phases, " | "), strings.Repeat("---|", len(phases)))
	for _, r := range results {
		fmt.Fprintf(b, "| %s | %s |", r.Client, r.Version)
		for _, p := range phases {
			word := r.Phases[p]
			if word == "" {
				word = "not run"
			}
			fmt.Fprintf(b, " %s |", strings.ReplaceAll(word, "|", `\|`))
		}
		fmt.Fprintf(b, " %s | %s |\n", cmp.Or(r.Moved, "not counted"), r.Date)
	}
}

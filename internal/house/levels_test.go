package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// levels are the groups of DESIGN section 2: a room may import what stands in an
// earlier group, and nothing of its own.
var levels = [][]string{
	{"internal/mutant", "internal/axis", "internal/fault", "internal/direct"}, // names of seeded bugs, arithmetic, calls of sockets: any room may have some
	{"lru", "pkg/shardmap", "transport/resp", "statemachine/wal", "statemachine/image", "internal/metrics", "internal/judge", "chaos/report"},
	{"statemachine", "multiraft", "multiraft/meta", "membership", "transport", "transport/redis", "pkg/client"},
	{"shardgroup", "pkg/client/clienttest", "internal/load", "internal/backup"},
	{"internal/node"},
	{"chaos", "chaos/bench", "chaos/peer", "chaos/sim", "cmd/aegis"},
	{"chaos/cluster"},
	{"chaos/suite"},
	{"cmd/aegis-chaos"},
	{"internal/house"},
}

// neighbours may import each other within their group: two halves of one room.
var neighbours = [][2]string{
	{"multiraft", "multiraft/meta"},
	{"chaos", "chaos/sim"},
	{"pkg/client", "pkg/client/clienttest"}, // the client's examples and tests run against it
}

// apart are imports that the levels would allow and that are wrong all the same.
var apart = map[[2]string]string{
	{"internal/node", "pkg/client"}: "a node is not its own client",
	{"cmd/aegis", "chaos"}:          "the chaos suite is never linked into aegis",
	{"cmd/aegis", "chaos/sim"}:      "the chaos suite is never linked into aegis",
	{"cmd/aegis", "chaos/bench"}:    "the chaos suite is never linked into aegis",
	{"cmd/aegis", "chaos/cluster"}:  "the chaos suite is never linked into aegis",
	{"cmd/aegis", "chaos/suite"}:    "the chaos suite is never linked into aegis",
}

func levelOf(room string) int {
	for i, rooms := range levels {
		if slices.Contains(rooms, room) {
			return i
		}
	}
	return -1
}

// brokenLevels lists imports against the plan, tests included, and rooms that have
// no place in it. Modules of their own may import whatever they like.
func brokenLevels(t *tree) (violations []string) {
	for _, s := range t.sources {
		if s.nested {
			continue
		}
		from := levelOf(s.dir)
		if from < 0 {
			violations = append(violations, fmt.Sprintf("%s: the room %q has no level; give it one in internal/house", s.path(), s.dir))
			continue
		}
		for _, imported := range s.imports() {
			room, ours := strings.CutPrefix(imported, module+"/")
			if !ours || room == s.dir {
				continue
			}
			to := levelOf(room)
			why, separated := apart[[2]string{s.dir, room}]
			switch {
			case separated:
			case to >= 0 && to < from, areNeighbours(s.dir, room):
				continue
			default:
				why = fmt.Sprintf("level %d may import earlier levels only, not level %d", from, to)
			}
			violations = append(violations, fmt.Sprintf("%s: %s imports %s: %s", s.path(), s.dir, room, why))
		}
	}
	return violations
}

func areNeighbours(a, b string) bool {
	return slices.Contains(neighbours, [2]string{a, b}) || slices.Contains(neighbours, [2]string{b, a})
}

func TestRoomsImportEarlierLevelsOnly(t *testing.T) { report(t, brokenLevels(repository(t))) }

func TestLevelsCanFail(t *testing.T) {
	demand(t, brokenLevels, map[string]string{
		"lru/a.go":                importing("lru", "pkg/shardmap"),             // a neighbour
		"statemachine/a.go":       importing("statemachine", "shardgroup"),      // a later level
		"statemachine/b.go":       importing("statemachine", "lru"),             // fine
		"multiraft/a.go":          importing("multiraft", "multiraft/meta"),     // fine: two halves of one room
		"multiraft/b_test.go":     importing("multiraft", "internal/node"),      // tests count
		"internal/node/a.go":      importing("node", "pkg/client"),              // set apart
		"cmd/aegis/a.go":          importing("main", "chaos"),                   // set apart
		"helpersroom/a.go":        importing("helpersroom", "lru"),              // no place in the plan
		"chaos/clients/go.mod":    "module x",                                   // a module of its own ...
		"chaos/clients/a_test.go": importing("clients", "internal/node"),        // ... may import anything
		"transport/resp/a.go":     "package resp\n\nimport _ \"example.com/x\"", // outsiders are not our business
	}, "lru/a.go", "statemachine/a.go", "multiraft/b_test.go", "internal/node/a.go", "cmd/aegis/a.go", "helpersroom/a.go")
}

func importing(pkg, room string) string {
	return fmt.Sprintf("package %s\n\nimport _ %q\n", pkg, module+"/"+room)
}

package house

import (
	"fmt"
	"strings"
	"testing"
)

// outsiders are modules that one room alone may import: others count with
// internal/metrics, and what the process counts is shown in one place; clients that others
// wrote are there to be run by the chaos suite, and nobody who imports ours builds them.
var outsiders = map[string]string{
	"github.com/prometheus/":    "internal/node",
	"github.com/redis/go-redis": "chaos/suite",
	"github.com/redis/rueidis":  "chaos/suite",
}

func strayOutsiders(t *tree) (violations []string) {
	for _, s := range t.sources {
		for _, imported := range s.imports() {
			for prefix, room := range outsiders {
				if strings.HasPrefix(imported, prefix) && s.dir != room && !s.nested {
					violations = append(violations, fmt.Sprintf("%s: only %s may import %s", s.path(), room, imported))
				}
			}
		}
	}
	return violations
}

func TestOutsidersHaveOneRoom(t *testing.T) { report(t, strayOutsiders(repository(t))) }

func TestOutsidersCanFail(t *testing.T) {
	body := "package x\n\nimport _ \"github.com/prometheus/client_golang/prometheus\"\n"
	foreign := "package x\n\nimport _ \"github.com/redis/go-redis/v9\"\n"
	demand(t, strayOutsiders, map[string]string{
		"internal/node/a.go":       body, // its room
		"transport/redis/a.go":     body,
		"multiraft/a_test.go":      body, // tests count
		"chaos/clients/go.mod":     "module x",
		"chaos/clients/a.go":       body, // a module of its own
		"internal/metrics/fine.go": "package metrics\n\nimport _ \"fmt\"\n",
		"chaos/suite/a.go":         foreign, // its room
		"pkg/client/a_test.go":     foreign,
	}, "transport/redis/a.go", "multiraft/a_test.go", "pkg/client/a_test.go")
}

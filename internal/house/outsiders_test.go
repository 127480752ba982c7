package house

import (
	"fmt"
	"strings"
	"testing"
)

// outsiders are modules that one room alone may import: others count with
// internal/metrics, and what the process counts is shown in one place.
var outsiders = map[string]string{"github.com/prometheus/": "internal/node"}

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
	demand(t, strayOutsiders, map[string]string{
		"internal/node/a.go":       body, // its room
		"transport/redis/a.go":     body,
		"multiraft/a_test.go":      body, // tests count
		"chaos/clients/go.mod":     "module x",
		"chaos/clients/a.go":       body, // a module of its own
		"internal/metrics/fine.go": "package metrics\n\nimport _ \"fmt\"\n",
	}, "transport/redis/a.go", "multiraft/a_test.go")
}

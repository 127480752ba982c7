//go:build mutants

package mutant

import (
	"cmp"
	"os"
)

// Enabled says whether this build can seed bugs.
const Enabled = true

// current is chosen by AEGIS_MUTANT, by AEGIS_TEST_MUTANT where a node would refuse a name
// that is none of its settings, or by Set; "" is none.
var current = cmp.Or(os.Getenv("AEGIS_MUTANT"), os.Getenv("AEGIS_TEST_MUTANT"))

// Is reports whether the named bug is the one seeded at start.
func Is(name string) bool { return current == name }

// Set chooses the bug; called once before anything runs.
func Set(name string) { current = name }

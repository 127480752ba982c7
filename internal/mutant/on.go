//go:build mutants

package mutant

import "os"

// Enabled says whether this build can seed bugs.
const Enabled = true

// current is chosen by AEGIS_MUTANT or by Set; "" is none.
var current = os.Getenv("AEGIS_MUTANT")

// Is reports whether the named bug is the one seeded at start.
func Is(name string) bool { return current == name }

// Set chooses the bug; called once before anything runs.
func Set(name string) { current = name }

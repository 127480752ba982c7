//go:build mutants

package mutant

// Enabled says whether this build can seed bugs.
const Enabled = true

var current string

// Is reports whether the named bug is the one seeded at start.
func Is(name string) bool { return current == name }

// Set chooses the bug; called once before anything runs.
func Set(name string) { current = name }

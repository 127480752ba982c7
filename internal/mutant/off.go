//go:build !mutants

package mutant

// Enabled says whether this build can seed bugs.
const Enabled = false

// Is reports whether the named bug is seeded; here never.
func Is(string) bool { return false }

// Set chooses a bug; this build has none.
func Set(string) {}

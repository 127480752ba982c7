//go:build mutants

package client

import "os"

// bug is the seeded bug of internal/mutant that this process shows, "" for none. What
// outsiders import knows nothing of that room, only of the name that it is given.
var bug = os.Getenv("AEGIS_MUTANT")

func seeded(name string) bool { return bug == name }

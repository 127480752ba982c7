//go:build !chaos && !mutants

package node

import "github.com/baxromumarov/aegisKV/statemachine/wal"

// faultable gives the directory of the log as it is: only builds for the chaos suite can
// be told to let it fail.
func faultable(d wal.Disk, _ string) wal.FS { return d }

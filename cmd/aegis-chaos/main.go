package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// gcPercent lets garbage pile up: a run lives for a fraction of a second.
const gcPercent = 800

func main() {
	debug.SetGCPercent(gcPercent)
	root := &cobra.Command{Use: "aegis-chaos", Short: "Check AegisKV's word", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newRun(), newList(), newCheck(), newReplay(), newSim(), newSimLong(), newScale(), newScript(), newMutants(), newSelftest(), newReport(), newCompare(), newPromises(), newExport(), newBlackbox(), newBench(), newBenchMemory(), newBenchDurability())
	begun := false
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "aegis-chaos:", err)
		os.Exit(exitCode(err, begun))
	}
}

// exitUsage is the exit code of a command that was called wrongly, as aegis has it.
const exitUsage = 64

// usageError says that a command was called wrongly: calling it so again will not help.
type usageError struct{ text string }

// Error is the sentence.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exitCode of an error: whatever keeps a command from beginning is wrong usage.
func exitCode(err error, begun bool) int {
	var u *usageError
	var v *verdictError
	switch {
	case !begun || errors.As(err, &u):
		return exitUsage
	case errors.As(err, &v):
		return v.verdict.ExitCode()
	}
	return 1
}

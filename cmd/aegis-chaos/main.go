package main

import (
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
	root.AddCommand(newSim(), newScript(), newMutants(), newBench())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "aegis-chaos:", err)
		os.Exit(1)
	}
}

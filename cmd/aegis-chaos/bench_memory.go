package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBenchMemory() *cobra.Command {
	o := bench.DefaultMemoryOptions()
	o.Log = os.Stderr
	cmd := benchCommand("bench-memory", "Measure bytes per entry of one node beside redis-server", &o.Aegis, &o.Redis, func() (bench.MemoryReport, error) {
		return bench.Memory(o)
	})
	f := cmd.Flags()
	f.IntVar(&o.Entries, "entries", o.Entries, "entries of 16 + 100 B")
	return cmd
}

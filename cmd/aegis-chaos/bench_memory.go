package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBenchMemory() *cobra.Command {
	o := bench.DefaultMemoryOptions()
	var output string
	cmd := &cobra.Command{
		Use:   "bench-memory",
		Short: "Measure bytes per entry of one node beside redis-server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usagef("-o %q: use text or json", output)
			}
			if o.Aegis == "" {
				o.Aegis = bench.Binary()
			}
			o.Log = os.Stderr
			r, err := bench.Memory(o)
			switch {
			case err != nil:
				return err
			case output == "json":
				return r.JSON(os.Stdout)
			}
			return r.Text(os.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Aegis, "aegis", "", "the aegis program (default: beside this one)")
	f.StringVar(&o.Redis, "redis", o.Redis, "the redis-server to compare with; without it AegisKV is measured alone")
	f.IntVar(&o.Entries, "entries", o.Entries, "entries of 16 + 100 B")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

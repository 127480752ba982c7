package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBenchDurability() *cobra.Command {
	o := bench.DefaultDurabilityOptions()
	var output string
	cmd := &cobra.Command{
		Use:   "bench-durability",
		Short: "Measure writes a second with and without a log beside redis-server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usagef("-o %q: use text or json", output)
			}
			if o.Aegis == "" {
				o.Aegis = bench.Binary()
			}
			o.Log = os.Stderr
			r, err := bench.Durability(o)
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
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds, each of all modes in turn")
	f.DurationVar(&o.Window, "window", o.Window, "measured time of one mode and round")
	f.IntVar(&o.Conns, "connections", o.Conns, "connections")
	f.IntVar(&o.Keys, "keys", o.Keys, "keys of 100 B")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

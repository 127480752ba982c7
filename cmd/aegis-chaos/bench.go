package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBench() *cobra.Command {
	o := bench.DefaultOptions()
	var output string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure operations per CPU-second and latency beside redis-server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usagef("-o %q: use text or json", output)
			}
			if o.Aegis == "" {
				o.Aegis = bench.Binary()
			}
			o.Log = os.Stderr
			r, err := bench.Run(o)
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
	f.StringVar(&o.Only, "only", "", "measure only cells whose name contains this (names: 1-GET-P16-100B-150000)")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of every cell, alternating between the two")
	f.DurationVar(&o.Window, "window", o.Window, "measured time of one cell, server and round")
	f.IntVar(&o.Conns, "connections", o.Conns, "connections")
	f.IntVar(&o.Keys, "keys", o.Keys, "keys of 100 B on one node; the others are 50000 at most")
	f.IntVar(&o.Rate, "rate", 0, "requests a second; 0 by the cell, -1 as many as are answered")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

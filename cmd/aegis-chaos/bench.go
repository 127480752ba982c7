package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBench() *cobra.Command {
	o := bench.DefaultOptions()
	o.Log = os.Stderr
	cmd := benchCommand("bench", "Measure operations per CPU-second and latency beside redis-server", &o.Aegis, &o.Redis, func() (bench.Report, error) {
		return bench.Run(o)
	})
	f := cmd.Flags()
	f.StringVar(&o.Only, "only", "", "measure only cells whose name contains this (names: 1-GET-P16-100B-150000)")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of every cell, alternating between the two")
	f.DurationVar(&o.Window, "window", o.Window, "measured time of one cell, server and round")
	f.IntVar(&o.Conns, "connections", o.Conns, "connections")
	f.IntVar(&o.Keys, "keys", o.Keys, "keys of 100 B on one node; the others are 50000 at most")
	f.IntVar(&o.Rate, "rate", 0, "requests a second; 0 by the cell, -1 as many as are answered")
	return cmd
}

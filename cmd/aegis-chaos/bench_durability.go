package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

func newBenchDurability() *cobra.Command {
	o := bench.DefaultDurabilityOptions()
	o.Log = os.Stderr
	cmd := benchCommand("bench-durability", "Measure writes a second with and without a log beside redis-server", &o.Aegis, &o.Redis, func() (bench.DurabilityReport, error) {
		return bench.Durability(o)
	})
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds, each of all modes in turn")
	f.DurationVar(&o.Window, "window", o.Window, "measured time of one mode and round")
	f.IntVar(&o.Conns, "connections", o.Conns, "connections")
	f.IntVar(&o.Keys, "keys", o.Keys, "keys of 100 B")
	f.IntVar(&o.Saves, "saves", o.Saves, "images saved in each mode under half of the peak rate")
	f.IntVar(&o.SaveKeys, "save-keys", o.SaveKeys, "keys of 100 B that they are of")
	return cmd
}

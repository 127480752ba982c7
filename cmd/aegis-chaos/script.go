package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/sim"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// newScript is `aegis-chaos script`: the protocol notes' schedules on whole clusters.
func newScript() *cobra.Command {
	var bug string
	var trace bool
	cmd := &cobra.Command{
		Use:   "script [NAME...]",
		Short: "Play schedules of the protocol notes on whole clusters",
		RunE: func(_ *cobra.Command, names []string) error {
			if bug != "" && !mutant.Enabled {
				return errNoMutants
			}
			if bug != "" {
				mutant.Set(bug)
			}
			scripts, err := chosen(names)
			if err != nil {
				return err
			}
			return playAll(scripts, trace)
		},
	}
	cmd.Flags().StringVar(&bug, "mutant", "", "seeded bug (only in a binary built with -tags mutants)")
	cmd.Flags().BoolVar(&trace, "trace", false, "print what happens")
	return cmd
}

// errNoMutants says how to get a binary that holds the seeded bugs.
var errNoMutants = errors.New("this binary holds no seeded bugs: go build -tags mutants -o bin/aegis-chaos-mutants ./cmd/aegis-chaos")

func chosen(names []string) ([]sim.Script, error) {
	if len(names) == 0 {
		return sim.Scripts(), nil
	}
	var out []sim.Script
	for _, n := range names {
		sc, ok := sim.ScriptNamed(n)
		if !ok {
			return nil, usagef("no script %q; without a name all are played, and named", n)
		}
		out = append(out, sc)
	}
	return out, nil
}

func playAll(scripts []sim.Script, trace bool) error {
	var broken []string
	for _, sc := range scripts {
		r := sim.RunScript(sc)
		word := "ok"
		if len(r.Broken) > 0 {
			word = "FAIL"
			broken = append(broken, sc.Name+": "+strings.Join(r.Broken, "\n  "))
		}
		if trace || word == "FAIL" {
			for _, l := range r.Log {
				fmt.Fprintln(os.Stderr, l)
			}
		}
		fmt.Printf("%-4s  %-34s %-28s %5.1f s simulated, %d operations\n", word, sc.Name, sc.From, r.Seconds, r.Ops)
	}
	if len(broken) > 0 {
		return errors.New(strings.Join(broken, "\n"))
	}
	return nil
}

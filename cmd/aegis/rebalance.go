package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// newRebalance shows what the placement moves.
func newRebalance() *cobra.Command {
	var f operatorFlags
	var without string
	var dry bool
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Print which copies move where, or would move if a node left",
		Long: `Print which copies the placement moves, from where to where, with their bytes. The cluster
follows its placement by itself as nodes join, drain and leave, so this command never
changes anything, with or without --dry-run; --without NODE shows what would move if that
node were decommissioned.

Exit codes: 0 printed, 1 refused, 2 unreachable, 64 wrong usage.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r node.PlanReport
			words := []string{"rebalance"}
			if without != "" {
				words = append(words, without)
			}
			return f.run(cmd.OutOrStdout(), &r, func() string { return planText(r) }, words...)
		},
	}
	f.declare(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print only (it never does more)")
	cmd.Flags().StringVar(&without, "without", "", "plan as if this node were decommissioned")
	return cmd
}

// planText is a plan as a table and a sentence.
func planText(r node.PlanReport) string {
	var b strings.Builder
	if len(r.Steps) > 0 {
		t := tabwriter.NewWriter(&b, 0, 4, 3, ' ', 0)
		fmt.Fprintln(t, "GROUP\tFROM\tTO\tBYTES")
		for _, s := range r.Steps {
			fmt.Fprintf(t, "%d\t%s\t%s\t%d\n", s.Group, orDash(uint32(s.From)), orDash(uint32(s.To)), s.Bytes)
		}
		t.Flush()
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d of %d copies move (%.1f %%), %s; %d leases are preferred elsewhere", len(r.Steps), r.Copies, 100*r.Share, node.About(r.Bytes), r.Leases)
	if s := movingText(r.Moving); s != "" {
		fmt.Fprintf(&b, "\n%s", s)
	}
	return b.String()
}

func orDash(n uint32) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// printMoves tells of copies on their way.
func printMoves(w io.Writer, r node.ClusterReport) {
	if s := movesText(r); s != "" {
		fmt.Fprintf(w, "\n%s\n", s)
	}
}

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// newRebalance shows what the placement moves, and lets it rest.
func newRebalance() *cobra.Command {
	var f operatorFlags
	var without string
	var dry, cancel, resume bool
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Print which copies move where, cancel such moves, or let them go on",
		Long: `Print which copies the placement moves, from where to where, with their bytes. The cluster
follows its placement by itself as nodes join, drain and leave; so without --cancel and
--resume this command changes nothing, with or without --dry-run. --without NODE shows what
would move if that node were decommissioned.

--cancel halts rebalancing: copies that are on their way for the sake of load and do not
count yet are given up where they are to go, and the old ones stay; no more begin, over
restarts of all nodes, until --resume. What goes on regardless: copies of dead nodes, and
all others that are missing, are made elsewhere; a node that is decommissioned, before or
after the halt, is emptied (aegis undrain NODE takes that back); leases move. A node that
joins meanwhile gets no copies but those. aegis status says that it is so.

Exit codes: 0 printed or done, 1 refused, 2 unreachable, 64 wrong usage.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cancel && resume:
				return usageError("--cancel and --resume are opposites: give one of them")
			case (cancel || resume) && (dry || without != ""):
				return usageError("--cancel and --resume change something, --dry-run and --without only show: give one or the other")
			case cancel, resume:
				return haltRebalance(cmd.OutOrStdout(), f, cancel)
			}
			var r node.PlanReport
			words := []string{"rebalance"}
			if without != "" {
				words = append(words, without)
			}
			return f.run(cmd.OutOrStdout(), &r, func() string { return planText(r) }, words...)
		},
	}
	f.declare(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print only, as without it")
	cmd.Flags().StringVar(&without, "without", "", "plan as if this node were decommissioned")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "give up moves for the sake of load that have begun, and begin no more until --resume")
	cmd.Flags().BoolVar(&resume, "resume", false, "let rebalancing go on after --cancel")
	return cmd
}

// haltRebalance cancels moves, or lets them go on.
func haltRebalance(out io.Writer, f operatorFlags, on bool) error {
	var r node.HaltReport
	word := "rebalance-resume"
	if on {
		word = "rebalance-cancel"
	}
	return f.run(out, &r, func() string { return haltText(r) }, word)
}

// haltText is the answer in a sentence.
func haltText(r node.HaltReport) string {
	switch {
	case r.Halted && r.Changed:
		return "rebalancing is halted: copies stay where they are; aegis status shows what does not move, aegis rebalance --resume lets it go on"
	case r.Halted:
		return "rebalancing is halted already: aegis rebalance --resume lets it go on"
	case r.Changed:
		return "rebalancing goes on: aegis status shows how far it is"
	}
	return "rebalancing is not halted"
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
	switch {
	case r.Halted && r.Without == 0 && len(r.Steps) > 0:
		b.WriteString("\nrebalancing is halted: what is for the sake of load waits for aegis rebalance --resume")
	case r.Halted && r.Without == 0:
		b.WriteString("\nrebalancing is halted: aegis rebalance --resume lets it go on")
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

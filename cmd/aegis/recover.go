package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// recoverWait is how long a recovery may take until it is answered: every survivor has to
// hear of it first.
const recoverWait = 12 * time.Second

// goneWait is how long a node that should be gone may take to show that it is not.
const goneWait = 2 * time.Second

// newRecover goes on without a majority that is gone for good.
func newRecover() *cobra.Command {
	f := operatorFlags{wait: recoverWait}
	var gone []string
	var accept bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use: "recover", Short: "Go on without nodes that are gone for good, where they were a majority (loses data)",
		Long: `Go on without nodes that are gone for good, where they were the majority of group 0 or of
any group, so that nothing else helps. Name all of them with --gone; every other node must
run and answer. Without --accept-data-loss the command changes nothing: it prints which
survivor would go on with which groups.

What only the nodes that are gone had is lost, acknowledged writes too; AEGIS.CHECK says of
a token that it is lost. Their data directories may never come back: a node that starts on
one is told so, and ends. Never name a node that may still run: with those that it still
reaches it would go on serving what they have, until it reaches a survivor.

It is refused while every group has its majority without them (decommission them, or let
them be replaced: that loses nothing), and while any of them was heard within 11 s. It may
be said again when it was interrupted. Nothing is done while a named node answers to the
machine where this command runs.

Exit codes: 0 printed, or done and all groups are served; 1 refused, or not all groups are
served in time; 2 unreachable, 64 wrong usage.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			words := []string{"recover"}
			for _, g := range gone {
				if g = strings.TrimSpace(g); g != "" {
					words = append(words, g)
				}
			}
			if len(words) == 1 {
				return usageError("which nodes are gone? name all of them with --gone node1,node2, as in aegis status")
			}
			if accept {
				if err := noneAnswersHere(f.addr, words[1:]); err != nil {
					return err
				}
				words = append(words, "accept-data-loss")
			}
			var r node.RecoveryReport
			if err := f.run(cmd.OutOrStdout(), &r, func() string { return recoveryText(r) }, words...); err != nil || !r.Done {
				return err
			}
			return awaitService(cmd.ErrOrStderr(), f.addr, limit)
		},
	}
	f.declare(cmd)
	cmd.Flags().StringSliceVar(&gone, "gone", nil, "nodes that are gone for good, by name, number or address, separated by commas")
	cmd.Flags().BoolVar(&accept, "accept-data-loss", false, "do it; what only those nodes had is lost")
	cmd.Flags().DurationVar(&limit, "timeout", time.Minute, "how long to wait until all groups are served")
	return cmd
}

// noneAnswersHere refuses a recovery while a node that was named answers to this machine:
// then the node that is asked is cut off from it, and may be on the smaller side. The
// other side would be told that it is gone as soon as it can be reached.
func noneAnswersHere(addr string, gone []string) error {
	r, err := clusterStatus([]string{addr})
	if err != nil {
		return nil // the node that is asked says what is wrong with it
	}
	for _, a := range r.Absent {
		if !slices.ContainsFunc(gone, func(g string) bool { return g == a.Name || g == fmt.Sprint(a.Node) || g == a.Client }) {
			continue
		}
		b, err := adminWithin(goneWait, a.Client, "status")
		var there node.ClusterReport
		if err != nil || json.Unmarshal(b, &there) != nil || there.Cluster != r.Cluster {
			continue
		}
		if slices.ContainsFunc(there.Nodes, func(n node.NodeReport) bool { return n.Node == a.Node }) {
			return fmt.Errorf("%s is not gone: it answers here, at %s, though not to the node that was asked. These two are cut off from each other, and the majority may be there: aegis status --addr %s shows it. If nobody is to have that node any more, stop it for good first", a.Name, a.Client, a.Client)
		}
	}
	return nil
}

// recoveryText is a recovery in sentences, with the groups that lose something.
func recoveryText(r node.RecoveryReport) string {
	var b strings.Builder
	would := "would go on"
	if r.Done {
		would = "goes on"
	}
	if len(r.Groups) > 0 {
		printLosses(&b, r.Groups)
	}
	for _, e := range r.Empty {
		fmt.Fprintf(&b, "group %d is left nowhere and begins anew, empty, on %s\n", e.Group, e.Node)
	}
	keys, missing := 0, uint64(0)
	for _, g := range r.Groups {
		keys, missing = keys+g.Keys, missing+g.Missing
	}
	if r.Meta != "" {
		fmt.Fprintf(&b, "group 0 lost its majority: %s %s with it\n", r.Meta, would)
	}
	fmt.Fprintf(&b, "without %s, which may never come back: %d groups lost their majority and %s with %d keys of their survivors' copies, %d are empty, %d lose nothing\n",
		strings.Join(r.Gone, ", "), len(r.Groups), strings.Replace(would, "goes", "go", 1), keys, len(r.Empty), r.Kept)
	b.WriteString("what may be lost: writes that had not reached a survivor, acknowledged ones too")
	if missing > 0 {
		fmt.Fprintf(&b, "; at least %d writes are known to be missing", missing)
	}
	if !r.Done {
		b.WriteString("\nnothing was changed: add --accept-data-loss to do it")
	}
	return b.String()
}

// printLosses lists what is not at its best, and how many are.
func printLosses(w io.Writer, groups []node.RecoveredReport) {
	whole := 0
	for _, g := range groups {
		if g.Whole && g.Missing == 0 {
			whole++
			continue
		}
		what := fmt.Sprintf("lacks at least %d writes", g.Missing)
		if !g.Whole {
			what = "is not whole: shards without a whole copy open empty"
		}
		fmt.Fprintf(w, "group %d on %s: the copy of %d keys %s\n", g.Group, g.Node, g.Keys, what)
	}
	if whole > 0 {
		fmt.Fprintf(w, "%d groups: the copy is whole, up to what had reached it\n", whole)
	}
}

// awaitService waits until every group is served.
func awaitService(w io.Writer, addr string, limit time.Duration) error {
	for begun := time.Now(); ; time.Sleep(waitLook) {
		r, err := clusterStatus([]string{addr})
		if err == nil && r.Served >= r.Groups {
			fmt.Fprintf(w, "all %d groups are served, after %v; aegis status shows what is still to be copied\n", r.Groups, time.Since(begun).Round(100*time.Millisecond))
			return nil
		}
		if err == nil {
			err = errors.New(r.Verdict)
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("not all groups are served after %v: %w", limit, err)
		}
	}
}

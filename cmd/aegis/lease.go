package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// operatorFlags are those of commands that any node answers, or has another one answer.
type operatorFlags struct {
	addr, format string
	wait         time.Duration // for the answer, 0 as always
}

func (f *operatorFlags) declare(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.addr, "addr", "localhost:7000", "client address of any node, asked on its own machine")
	cmd.Flags().StringVarP(&f.format, "output", "o", "text", "text or json")
}

// run sends the words and shows what came back: as it is, or as text says it.
func (f *operatorFlags) run(out io.Writer, report any, text func() string, words ...string) error {
	if f.format != "json" && f.format != "text" {
		return usageError("unknown output format %q: use text or json", f.format)
	}
	if _, _, err := net.SplitHostPort(f.addr); err != nil {
		return usageError("%q is no client address: give host:port of any node, like --addr localhost:7000", f.addr)
	}
	b, err := adminWithin(cmp.Or(f.wait, nodeWait), f.addr, words...)
	if err != nil {
		return notTold(f.addr, err, 1)
	}
	if err := json.Unmarshal(b, report); err != nil {
		return &exitError{exitUnreachable, "the node's answer cannot be read: " + err.Error()}
	}
	if f.format == "json" {
		fmt.Fprintln(out, string(b))
	} else {
		fmt.Fprintln(out, text())
	}
	return nil
}

func newFailover() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use: "failover NODE", Short: "Have a node hand all of its leases over now (exit code 1 when some stay)",
		Long: `Have a node hand all of its leases over now, each as a planned move: clients see no error.
The node stays a member, with its copies; leases go back to it when all has been quiet
for half a minute.

Exit codes: 0 no lease is left there, 1 some are, or it was refused, 2 unreachable, 64 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which node? usage: aegis failover NODE, with its name or number from aegis status")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var r node.FailoverReport
			err := f.run(cmd.OutOrStdout(), &r, func() string { return fmt.Sprintf("%s handed %d leases over", r.Node, r.Moved) }, "failover", args[0])
			if err == nil && len(r.Kept) > 0 {
				return fmt.Errorf("%d leases stay at %s, because no other node with a whole copy took them in time: groups %v; aegis status shows who has copies", len(r.Kept), r.Node, r.Kept)
			}
			return err
		},
	}
	f.declare(cmd)
	return cmd
}

// newLease is the family of commands about leases.
func newLease() *cobra.Command {
	family := &cobra.Command{
		Use: "lease", Short: "Move leases by hand", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	family.AddCommand(newLeaseTransfer())
	return family
}

func newLeaseTransfer() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use: "transfer GROUP NODE", Short: "Move the lease of one group to a node that has a whole copy and a vote",
		Long: `Move the lease of one group to a node that has a whole copy and a vote, as a planned move:
clients see no error. It stays there for ten minutes at least; then it goes back to the
node that the placement prefers, when all has been quiet for half a minute.

Exit codes: 0 it is there, 1 refused, 2 unreachable, 64 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError("which group, and where to? usage: aegis lease transfer GROUP NODE, as aegis status names them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var r node.TransferReport
			return f.run(cmd.OutOrStdout(), &r, func() string {
				if r.From == r.To {
					return fmt.Sprintf("group %d is at %s already", r.Group, r.To)
				}
				return fmt.Sprintf("group %d: %s -> %s", r.Group, r.From, r.To)
			}, "lease", "transfer", args[0], args[1])
		},
	}
	f.declare(cmd)
	return cmd
}

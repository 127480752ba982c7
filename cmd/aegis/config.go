package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// newConfig is the family of commands about settings.
func newConfig() *cobra.Command {
	family := &cobra.Command{
		Use: "config", Short: "Show and check settings", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	var opts options
	show := &cobra.Command{
		Use:   "print [flags of a node]",
		Short: "Print every setting as a node started with the same flags would see it, and where it comes from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := opts.load(cmd)
			if err != nil {
				return err
			}
			return printConfig(cmd.OutOrStdout(), cfg)
		},
	}
	opts.declare(show)
	family.AddCommand(show)
	return family
}

func printConfig(w io.Writer, cfg *node.Loaded) error {
	t := tabwriter.NewWriter(w, 0, 4, 3, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tFROM\tCHANGES")
	for _, s := range node.Settings() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Key, cfg.Text(s.Key), cfg.Origin(s.Key), s.Change)
	}
	return t.Flush()
}

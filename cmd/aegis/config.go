package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// newConfig shows what a node would use, without starting one.
func newConfig() *cobra.Command {
	var opts options
	var format string
	print := &cobra.Command{
		Use: "print", Short: "Print every setting, its value and where it comes from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := opts.load(cmd)
			if err != nil {
				return err
			}
			return printConfig(cmd, c, format)
		},
	}
	opts.declare(print)
	print.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	config := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	config.AddCommand(print)
	return config
}

func printConfig(cmd *cobra.Command, c *node.Loaded, format string) error {
	switch format {
	case "json":
		values := map[string]string{}
		for _, s := range node.Settings() {
			values[s.Key] = c.Text(s.Key)
		}
		b, err := json.MarshalIndent(values, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), string(b))
		return nil
	case "table":
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 3, ' ', 0)
		fmt.Fprintln(t, "KEY\tVALUE\tFROM\tCHANGES")
		for _, s := range node.Settings() {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Key, c.Text(s.Key), c.Origin(s.Key), s.Change)
		}
		return t.Flush()
	}
	return fmt.Errorf("unknown output format %q: use table or json", format)
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// outputFlag is the one flag of config print that is no setting.
const outputFlag = "output"

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
	var format string
	show := &cobra.Command{
		Use:   "print [flags of a node]",
		Short: "Print every setting as a node started with the same flags would see it, and where it comes from",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usageError("unknown output format %q: use table or json", format)
			}
			cfg, err := opts.load(cmd)
			if err != nil {
				return err
			}
			if format == "json" {
				return printConfigJSON(cmd.OutOrStdout(), cfg)
			}
			return printConfig(cmd.OutOrStdout(), cfg)
		},
	}
	opts.declare(show)
	show.Flags().StringVarP(&format, outputFlag, "o", "table", "table or json")
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

// settingShown is a setting as config print -o json shows it.
type settingShown struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	From    string `json:"from"`
	Changes string `json:"changes"`
}

func printConfigJSON(w io.Writer, cfg *node.Loaded) error {
	shown := []settingShown{}
	for _, s := range node.Settings() {
		shown = append(shown, settingShown{s.Key, cfg.Text(s.Key), cfg.Origin(s.Key), fmt.Sprint(s.Change)})
	}
	return json.NewEncoder(w).Encode(shown)
}

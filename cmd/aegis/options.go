package main

import (
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// options collects what the command line said.
type options struct{ file string }

// declare makes a flag of every setting; the long spelling of a shortened one is
// accepted too, and hidden.
func (o *options) declare(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.file, "config", "", "JSON file with settings")
	for _, s := range node.Settings() {
		help := s.Help
		if s.Default != "" {
			help += " (default " + s.Default + ")"
		}
		f.String(s.Flag(), "", help+" ["+s.Env()+"]")
		f.Lookup(s.Flag()).NoOptDefVal = s.Bare
		if s.Kebab() != s.Flag() {
			f.String(s.Kebab(), "", help)
			_ = f.MarkHidden(s.Kebab())
		}
	}
}

// load merges flags, environment and file over the defaults.
func (o *options) load(cmd *cobra.Command) (*node.Loaded, error) {
	given := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"config", "version", outputFlag}, f.Name) {
			given[f.Name] = f.Value.String()
		}
	})
	cfg, err := node.LoadConfig(node.Sources{Flags: given, Environ: os.Environ(), File: o.file})
	if err != nil {
		return nil, usageError("%v", err)
	}
	return cfg, nil
}

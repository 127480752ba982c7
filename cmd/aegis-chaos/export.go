package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos"
)

// newExport is `aegis-chaos export`: the histories of a run for checkers of others.
func newExport() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the histories of a run for Jepsen's checkers, beside the histories",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "jepsen" {
				return usagef("--format %q: give jepsen", format)
			}
			return exportAll(args[0])
		},
	}
	cmd.Flags().StringVar(&format, "format", "jepsen", "jepsen: EDN, one operation in each line")
	return cmd
}

// exportAll takes a scenario's directory, or the directory of a run with many.
func exportAll(dir string) error {
	var found []string
	for _, pattern := range []string{"history.zst", "*/history.zst"} {
		some, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	if len(found) == 0 {
		return fmt.Errorf("%s holds no history of a run", dir)
	}
	for _, path := range found {
		out, err := exportOne(path)
		if err != nil {
			return err
		}
		fmt.Println(out)
	}
	return nil
}

func exportOne(path string) (out string, err error) {
	r, err := chaos.ReadRecorded(path)
	if err != nil {
		return "", err
	}
	out = filepath.Join(filepath.Dir(path), "history.edn")
	f, err := os.Create(out)
	if err != nil {
		return "", err
	}
	return out, errors.Join(r.WriteEDN(f), f.Close())
}

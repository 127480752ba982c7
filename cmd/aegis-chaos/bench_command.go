package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
)

// measured is what a measurement has to say.
type measured interface {
	Text(w io.Writer) error
	JSON(w io.Writer) error
}

// benchCommand is a command that measures a program beside a redis-server: the flags that
// all of them have, and how the result is shown. run is called with both of them set.
func benchCommand[R measured](use, short string, aegis, redis *string, run func() (R, error)) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usagef("-o %q: use text or json", output)
			}
			if *aegis == "" {
				*aegis = bench.Binary()
			}
			r, err := run()
			switch {
			case err != nil:
				return err
			case output == "json":
				return r.JSON(os.Stdout)
			}
			return r.Text(os.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(aegis, "aegis", "", "the aegis program (default: beside this one)")
	f.StringVar(redis, "redis", *redis, "the redis-server to compare with; without it AegisKV is measured alone")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

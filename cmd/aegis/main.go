package main

import (
	"fmt"
	"os"
)

func main() {
	root := newRoot()
	root.SetArgs(longFlags(os.Args[1:]))
	if err := root.Execute(); err != nil {
		if err.Error() != "" {
			fmt.Fprintln(os.Stderr, "aegis:", err)
		}
		os.Exit(exitCode(err))
	}
}

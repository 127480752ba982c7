package main

import (
	"fmt"
	"os"
)

func main() {
	root := newRoot()
	root.SetArgs(longFlags(os.Args[1:]))
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "aegis:", err)
		os.Exit(exitCode(err))
	}
}

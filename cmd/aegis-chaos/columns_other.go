//go:build !unix

package main

import "os"

// columnsOf is how wide a terminal is: not known here.
func columnsOf(*os.File) int { return 0 }

//go:build !linux

package main

import "os"

// thisProgram is the file that has the name of this program.
func thisProgram() (string, error) { return os.Executable() }

// rest does nothing where memory cannot be asked for in parts.
func rest() {}

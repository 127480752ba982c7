// Command aegis runs one node of an AegisKV cluster and speaks to running ones.
// It owns flags, signals and exit codes; everything else is internal/node.
package main

// Command aegis-chaos checks AegisKV's word with the simulator: random seeds
// (sim), the schedules of the protocol notes (script), and, built with -tags
// mutants, that the checkers can fail (mutants). It is never linked into aegis.
package main

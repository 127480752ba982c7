// Package mutant holds the switch for seeded bugs. Without the build tag
// "mutants" every question is the constant false and the compiler removes the
// branch; with it one bug is chosen by name (AEGIS_MUTANT, or a flag) when a
// binary starts, and the checkers have to find it: Bugs says which property must
// be seen broken, and where. It owns names only and must know no other room.
package mutant

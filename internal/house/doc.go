// Package house keeps the plan of the house true: tests that fail when a room
// imports what it must not know, when rule-bearing code reaches for a clock, a
// goroutine, a socket, a file or global randomness, when a package has no doc or
// two, and when README forgets a design page.
//
// It holds no code that runs in a node and must be imported by nobody. Each check
// is a function over a file tree, so that a test can show it failing on a small
// tree made for that. Rules kept by tests leave people free to talk about design.
package house

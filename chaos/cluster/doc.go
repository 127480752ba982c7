// Package cluster runs AegisKV nodes as processes of this machine, for the chaos suite:
// it starts them, stops them in every way that a signal can, and stands between them.
// Each node is reached by the others at an address where a relay listens, which knows
// from whom each connection and packet comes, so that every direction between two nodes
// can be cut, delayed, damaged and lost on its own. Nothing of it needs root.
package cluster

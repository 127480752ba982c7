// Package image owns a node's image: one bbolt file that holds of every shard of the node
// what its log would otherwise have to be kept for. A block is opaque bytes of a hash range
// of a shard to it, with a digest; what a copy is, and when it is one state, its user knows.
//
// It promises that what comes back is what was saved last, or an error that names the
// shard: blocks, indexes and rows carry checksums, because the pages of bbolt have none.
// It never decides what is served. DESIGN.md draws the format and how an image is made
// while writes go on.
package image

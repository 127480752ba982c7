// Hitratio replays request traces through lru.Store and judges its hit ratio.
//
// The store runs as it runs in a node: keys of 16 bytes, values of 1,024, a budget
// in bytes that pays for everything. Beside it run other caches for Go, plain LRU
// and OPT, which knows the future. It is a module of its own so that their
// dependencies never reach the server. It must not know the inside of the store,
// and keeps nothing but the picture that it draws.
package main

// Package clients runs real clients against real nodes: go-redis, redis-cli,
// redis-benchmark and our own pkg/client, unmodified, against three aegis
// processes started with the commands of SPEC.md, with redis-server beside them as
// the judge of every reply that it knows.
//
// It is a module of its own so that its dependencies never reach the server. It
// owns no code outside its tests, must not know the inside of a node, and keeps
// nothing.
package clients

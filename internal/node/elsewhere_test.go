package node

import "strings"

// What is compared with redis-server by lists of its own rather than drawn at random,
// and what about it differs on purpose.
func init() {
	for _, n := range strings.Fields("multi exec discard watch unwatch") {
		elsewhere[n] = "of the connection: transactions_test.go"
	}
	for _, n := range strings.Fields("acl bgsave lastsave latency slowlog") {
		elsewhere[n] = "of the server: words_test.go of transport/redis"
	}
	for _, reason := range []string{
		"a transaction and the keys watched for it are of one slot; Redis lets keys be watched that lie elsewhere on the node",
		"DBSIZE, FLUSHALL, SCAN and others that are not about one slot are in a transaction without keys only; Redis has one thread for all keys",
		"WATCH of an absent key may be disturbed by the removal of another key, one in 256 of its shard, and by FLUSHALL of thousands: a transaction is then refused that Redis would run",
		"KEYS and SCAN see keys in steps, and those of the slots that this node holds; KEYS of Redis is one moment",
		"SLOWLOG times a pipeline whole and shows its first command; LATENCY HISTOGRAM and INFO count commands of one kind that stand together in a pipeline with their mean, up to 16: the clock is not read for each of them",
		"CLIENT NO-EVICT has a connection closed last for its buffers, not never; CLIENT PAUSE holds back what comes to this node, and no CLIENT command",
		"COMMAND DOCS tells summary, group and arguments; since when Redis has a command, what it costs there and its history are in Redis's own pages. What COMMAND INFO and COMMAND DOCS say otherwise is listed in describe_test.go of transport/redis",
		"CLUSTER SLOT-STATS counts keys by going through them, and neither processor time nor bytes; CLUSTER LINKS lists the connections of every kind of traffic, several to a node",
	} {
		differences = append(differences, difference{reason: reason})
	}
}

package node

import (
	"fmt"
	"net"
)

// Banner tells an operator what was started, line by line.
func (n *Node) Banner() []string {
	c, addrs := n.cfg, n.addresses()
	p := profiles[c.LeaseProfile]
	lines := []string{
		fmt.Sprintf("AegisKV %s, node %s (incarnation %d)", Version, c.ID, n.start.Identity.Inc.Counter),
		fmt.Sprintf("  clients %s   peers %s   gossip %s", addrs.Client, addrs.Cluster, addrs.Gossip),
		fmt.Sprintf("  replication factor %d, ack level %s, %s", c.ReplicationFactor, c.AckLevel, n.durable.line()),
		fmt.Sprintf("  lease profile %s: heartbeat %v, lease %v", c.LeaseProfile, p.heartbeat, p.promise),
	}
	for _, l := range divide(c.MaxMemoryBytes).lines(c.NumShards) {
		lines = append(lines, "  "+l)
	}
	if c.GatewayAddr != "" {
		host, _, _ := net.SplitHostPort(addrs.Client)
		lines = append(lines, fmt.Sprintf("  gateway %s, for clients that know no cluster", net.JoinHostPort(host, portOf(c.GatewayAddr))))
	}
	if c.AdminAddr != "" {
		lines = append(lines, fmt.Sprintf("  admin http://%s/: probes, metrics and the status", c.AdminAddr))
	}
	for _, p := range extraPorts() {
		if m := p.missing(c); m != "" {
			lines = append(lines, "  "+m)
		}
	}
	if host, _, _ := net.SplitHostPort(c.ClientAddr); len(n.secret) == 0 && !isLoopback(host) {
		lines = append(lines, "  WARNING: no --cluster-secret-file, and these ports are not on loopback: anyone who reaches them can read, write and flush")
	}
	return lines
}

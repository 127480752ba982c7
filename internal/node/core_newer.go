package node

import (
	"maps"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// newerMax bounds how many nodes are remembered that this node's registry does not know:
// each costs a dial and what a peer costs.
const newerMax = 256

// heardAddress takes the address of a node that joined after the last that this node's
// registry knows of. Whoever was away while the holder of group 0 joined has nowhere to
// send its answers, so it is never filled, and never learns where: its registry comes from
// that very node. Gossip is not asked, it may lie; this comes over a connection on which
// the node said who it is, and the one that is dialled has to say it too. Of nodes with an
// older id the registry knows better: they have a row, or are gone.
func (c *Core) heardAddress(from shardmap.NodeID, addr string) {
	if addr == "" || c.newer[from] == addr || !c.isNewer(from) || len(c.newer) >= newerMax && c.newer[from] == "" {
		return
	}
	if _, told := c.founding()[from]; told {
		return
	}
	probeNewer.Hit()
	c.newer[from] = addr
	c.tellPeers()
}

// isNewer reports whether a node joined after the last that this one's registry knows of.
func (c *Core) isNewer(n shardmap.NodeID) bool {
	return n != c.self.Node && (c.meta == nil || uint32(n) >= c.meta.NextNode)
}

// founding are the addresses that a joiner was told when it was taken in. They serve until
// it has a registry.
func (c *Core) founding() map[shardmap.NodeID]string {
	if c.meta != nil {
		return nil
	}
	addrs := make(map[shardmap.NodeID]string)
	for _, n := range c.cfg.Founding.Contacts {
		addrs[n.ID] = n.Addresses.Cluster
	}
	return addrs
}

// tellPeers says whom this node may have to speak to, and where.
func (c *Core) tellPeers() {
	maps.DeleteFunc(c.newer, func(n shardmap.NodeID, _ string) bool { return !c.isNewer(n) })
	addrs := maps.Clone(c.newer)
	maps.Copy(addrs, c.founding())
	if c.meta != nil {
		for _, n := range c.meta.Nodes {
			addrs[n.ID] = n.Addresses.Cluster
		}
	}
	delete(addrs, c.self.Node)
	c.out.PeersChanged(addrs)
}

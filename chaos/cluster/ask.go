package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// askMax is how long a node may take to answer a question of the suite.
const askMax = 5 * time.Second

// Ask puts one command to the node and gives its answer.
func (n *Node) Ask(words ...string) (resp.Reply, error) {
	if n.Paused() || !n.Runs() {
		return resp.Reply{}, fmt.Errorf("%s does not run", n.Name)
	}
	c, err := net.DialTimeout("tcp", n.listens(), time.Second)
	if err != nil {
		return resp.Reply{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askMax))
	if _, err := c.Write(resp.AppendCommand(nil, words...)); err != nil {
		return resp.Reply{}, err
	}
	r, err := resp.ReadReply(bufio.NewReader(c))
	if err == nil && r.IsError() {
		err = errors.New(string(r.Text))
	}
	return r, err
}

// tell is Ask for answers in JSON.
func (n *Node) tell(into any, words ...string) error {
	r, err := n.Ask(words...)
	if err != nil {
		return err
	}
	return json.Unmarshal(r.Text, into)
}

// Status is the cluster as the node sees it.
func (n *Node) Status() (r node.ClusterReport, err error) {
	return r, n.tell(&r, "AEGIS.ADMIN", "status")
}

// Digests are those of every shard copy of the node.
func (n *Node) Digests() (d []node.ShardDigest, err error) {
	return d, n.tell(&d, "AEGIS.ADMIN", "digest")
}

// Lineage is what the node remembers of every Open.
func (n *Node) Lineage() (l []shardgroup.Decided, err error) {
	return l, n.tell(&l, "AEGIS.ADMIN", "lineage")
}

// Status is the cluster as some node sees it.
func (c *Cluster) Status() (r node.ClusterReport, err error) {
	err = errors.New("no node runs")
	for _, n := range c.Nodes {
		if r, err = n.Status(); err == nil {
			return r, nil
		}
	}
	return r, err
}

// Healthy says whether all groups are served, with all their copies.
func (c *Cluster) Healthy() bool {
	r, err := c.Status()
	return err == nil && r.Healthy && len(r.Nodes) == c.members()
}

// members is how many nodes the cluster has when all is well: the founders, and those
// spare nodes that run.
func (c *Cluster) members() int {
	n := c.cfg.Nodes
	for _, s := range c.Nodes[n:] {
		if s.Runs() {
			n++
		}
	}
	return n
}

// Await waits for a condition; the error says what was waited for.
func Await(limit time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain for: %s", limit, what)
		}
	}
	return nil
}

// Holders is which node (by its place) serves each group, as a node sees it that runs;
// nobody is -1.
func (c *Cluster) Holders() ([]int, error) {
	r, err := c.Status()
	if err != nil {
		return nil, err
	}
	by := make([]int, r.Groups+1)
	for g := range by {
		by[g] = -1
	}
	for _, nr := range r.Nodes {
		for _, g := range nr.Groups {
			if i := c.named(nr.Name); g.Open && i >= 0 && int(g.Group) < len(by) {
				by[g.Group] = i
			}
		}
	}
	return by, nil
}

func (c *Cluster) named(name string) int {
	for i, n := range c.Nodes {
		if n.Name == name {
			return i
		}
	}
	return -1
}

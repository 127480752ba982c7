package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// Config says which cluster to run.
type Config struct {
	Aegis string // the program
	Dir   string // of data and logs; made when it is not there
	Nodes int
	Args  []string // more flags, for every node
	Seed  uint64   // of what relays do by chance
}

// Cluster is nodes with relays between them.
type Cluster struct {
	Dir   string
	Nodes []*Node

	cfg     Config
	starter *starter
	links   [][]*link // from, to
	nobody  *link     // of strangers
	relays  []*relay
	streams streams

	mu    sync.Mutex
	story []Deed
}

// Deed is what was done to a node.
type Deed struct {
	At   time.Duration // on the clock that leases run on
	Node int
	What string // start, kill, leave, left, pause, resume, wipe
}

// New makes a cluster; nothing is started yet. Close must be called.
func New(cfg Config) (*Cluster, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	base, err := freePorts(portsEach * cfg.Nodes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, cfg: cfg, nobody: newLink(cfg.Seed)}
	for i := range cfg.Nodes {
		c.Nodes = append(c.Nodes, &Node{Name: fmt.Sprint("node", i+1), c: c, port: base + i*portsEach})
		var row []*link
		for j := range cfg.Nodes {
			row = append(row, newLink(cfg.Seed+uint64(1+i*cfg.Nodes+j)))
		}
		c.links = append(c.links, row)
	}
	c.starter = newStarter()
	for i, n := range c.Nodes {
		for _, p := range []int{n.port + 1, n.port + 2} {
			r, err := newRelay(c, i, fmt.Sprintf("%s:%d", setHost, p), fmt.Sprintf("%s:%d", ownHost, p))
			if err != nil {
				c.Close()
				return nil, fmt.Errorf("a relay cannot stand before %s: %w", n.Name, err)
			}
			c.relays = append(c.relays, r)
		}
	}
	return c, nil
}

// Start starts all nodes at once.
func (c *Cluster) Start() error {
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every process and relay. It may be called at any time.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, r := range c.relays {
		r.close()
	}
	c.relays = nil
	if c.starter != nil {
		c.starter.close()
		c.starter = nil
	}
}

// Addrs are the client addresses of all nodes.
func (c *Cluster) Addrs() (list []string) {
	for _, n := range c.Nodes {
		list = append(list, n.Addr())
	}
	return list
}

// link is the direction from one node to another.
func (c *Cluster) link(from, to int) *link {
	if from < 0 || to < 0 {
		return c.nobody
	}
	return c.links[from][to]
}

// Set gives one direction a rule.
func (c *Cluster) Set(from, to int, r Rule) { c.links[from][to].set(r) }

// Heal lets everything pass again.
func (c *Cluster) Heal() {
	for _, row := range c.links {
		for _, l := range row {
			l.set(Rule{})
		}
	}
}

// Break breaks the streams between two nodes off, with a reset, and says how many.
func (c *Cluster) Break(a, b int) int {
	list := c.streams.between(a, b)
	for _, s := range list {
		s.abort()
	}
	c.links[a][b].reset.Add(int64(len(list)))
	return len(list)
}

// Carried is what was seen to happen to what a direction carries.
func (c *Cluster) Carried(from, to int) Carried { return c.links[from][to].carried() }

// told takes a note of what was done.
func (c *Cluster) told(n *Node, what string) {
	i := slices.Index(c.Nodes, n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, Deed{Now(), i, what})
}

// Deeds are what was done to nodes, in order.
func (c *Cluster) Deeds() []Deed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.story)
}

// Now reads the clock that leases run on: the nodes' logs have readings of the same.
func Now() time.Duration { return multiraft.Glance().Mono }

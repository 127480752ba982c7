package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// Config says which cluster to run.
type Config struct {
	Aegis string // the program
	Dir   string // of data and logs; made when it is not there
	Nodes int
	Args  []string // more flags, for every node
	Env   []string // more of the environment, for every node
	Seed  uint64   // of what relays do by chance
	// Fronted lets a relay stand before the client port of each node, too.
	Fronted bool
	// Spare nodes are there besides, and Start does not start them.
	Spare int
	// Orders says that Aegis takes orders to be faulty (internal/fault).
	Orders bool
}

// Cluster is nodes with relays between them.
type Cluster struct {
	Dir   string
	Nodes []*Node

	cfg     Config
	starter *starter
	links   [][]*link // from, to
	asking  []*link   // from clients, to
	telling []*link   // to clients, from
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
	if strings.ContainsRune(cfg.Aegis, filepath.Separator) { // nodes start in a directory of theirs
		if cfg.Aegis, err = filepath.Abs(cfg.Aegis); err != nil {
			return nil, err
		}
	}
	for tries := basesMax; ; tries-- {
		base, err := freePorts(portsEach * (cfg.Nodes + cfg.Spare))
		if err != nil {
			return nil, err
		}
		c, err := at(base, dir, cfg)
		if tries > 1 && errors.Is(err, syscall.EADDRINUSE) {
			continue // another process looked at the same time, and was first
		}
		return c, err
	}
}

// basesMax is how often ports are chosen before they are given up.
const basesMax = 20

// at is a cluster on ports from base on.
func at(base int, dir string, cfg Config) (*Cluster, error) {
	all := cfg.Nodes + cfg.Spare
	c := &Cluster{Dir: dir, cfg: cfg, nobody: newLink(cfg.Seed)}
	for i := range all {
		c.Nodes = append(c.Nodes, &Node{Name: fmt.Sprint("node", i+1), c: c, port: base + i*portsEach})
		var row []*link
		for j := range all {
			row = append(row, newLink(cfg.Seed+uint64(1+i*all+j)))
		}
		c.links = append(c.links, row)
		own := cfg.Seed + uint64(1+all*all+2*i)
		c.asking, c.telling = append(c.asking, newLink(own)), append(c.telling, newLink(own+1))
	}
	c.starter = newStarter()
	for i, n := range c.Nodes {
		ports := []int{n.port + 1, n.port + 2}
		if cfg.Fronted {
			ports = append(ports, n.port)
		}
		for _, p := range ports {
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

// Founders are the nodes that Start starts, and that others find the cluster by.
func (c *Cluster) Founders() []*Node { return c.Nodes[:c.cfg.Nodes] }

// Start starts all nodes at once but the spare ones.
func (c *Cluster) Start() error {
	for _, n := range c.Founders() {
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
		_ = os.Remove(n.orders())
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
	for _, n := range c.Founders() {
		list = append(list, n.Addr())
	}
	return list
}

// Clients stands for all clients where a direction is named: theirs to a node and back.
const Clients = -2

// link is the direction from one node to another.
func (c *Cluster) link(from, to int) *link {
	switch {
	case from == Clients && to >= 0:
		return c.asking[to]
	case to == Clients && from >= 0:
		return c.telling[from]
	case from < 0 || to < 0:
		return c.nobody
	}
	return c.links[from][to]
}

// Set gives one direction a rule.
func (c *Cluster) Set(from, to int, r Rule) { c.link(from, to).set(r) }

// Heal lets everything pass again.
func (c *Cluster) Heal() {
	for _, row := range append(slices.Clone(c.links), c.asking, c.telling) {
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
	c.link(a, b).reset.Add(int64(len(list)))
	return len(list)
}

// Abandon closes the dialler's end of the streams from one node, or from clients, to
// another. The other end is closed as well unless a rule lets it stand on.
func (c *Cluster) Abandon(from, to int) {
	for _, s := range c.streams.between(from, to) {
		if s.from == from {
			_ = s.in.Close()
		}
	}
}

// Carried is what was seen to happen to what a direction carries.
func (c *Cluster) Carried(from, to int) Carried { return c.link(from, to).carried() }

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

package node

import (
	"fmt"
	"net"
	"strconv"

	"go.uber.org/zap"
)

// extraPort is a port that a node can do without, and that SPEC.md does not promise. Its
// default must not keep a node down: where that is taken it is left out with a warning.
// One that was asked for is an error.
type extraPort struct {
	what, key string
	offset    int    // above the client port: cluster and gossip lie between, and the published nodes are ten apart
	host      string // of the default; "" = the client port's
	help      string
	without   string // what to do where there is none
	addr      func(*Config) *string
	listener  func(*Node) *net.Listener
}

// extraPorts lists them. It is a function because the table of settings is made from it.
func extraPorts() []extraPort {
	return []extraPort{
		{
			what: "gateway", key: "gatewayAddr", offset: 3,
			help:    "where clients connect that take the cluster for one standalone Redis server",
			without: "clients that know no cluster need --gateway-addr, or another node's",
			addr:    func(c *Config) *string { return &c.GatewayAddr }, listener: func(n *Node) *net.Listener { return &n.gateway },
		},
		{
			what: "admin", key: "adminAddr", offset: 4, host: "127.0.0.1",
			help:    "where probes, metrics and the status can be read over HTTP",
			without: "probes and metrics need --admin-addr",
			addr:    func(c *Config) *string { return &c.AdminAddr }, listener: func(n *Node) *net.Listener { return &n.admin },
		},
	}
}

// place is where the default lies, in words.
func (p extraPort) place() string {
	at := fmt.Sprintf("the client port + %d", p.offset)
	if p.host != "" {
		at += " of " + p.host
	}
	return at
}

func (p extraPort) flag() string { return "--" + splitWords(p.key, '-') }

// row is its line in the table of settings.
func (p extraPort) row() Setting {
	addr := func(c *Loaded) *string { return p.addr(&c.Config) }
	return Setting{
		Key: p.key, Unit: "HOST:PORT|" + wordOff, Change: Restart,
		Help: p.help + " (default: " + p.place() + ", left out with a warning when it is taken)",
		read: func(c *Loaded, s string) error { return readOptional(addr(c), s) }, write: func(c *Loaded) string { return orOff(*addr(c)) },
	}
}

// fill is its address when none was stated: none where its port is another's of this node.
func (p extraPort) fill(c *Loaded) {
	if c.Stated[p.key] {
		return
	}
	host, port, _ := net.SplitHostPort(c.ClientAddr)
	if p.host != "" {
		host = p.host
	}
	n, _ := strconv.Atoi(port)
	addr := net.JoinHostPort(host, strconv.Itoa(n+p.offset))
	free := n+p.offset <= 65535
	for _, other := range c.planes() {
		free = free && !collide(addr, other.addr)
	}
	if !free {
		addr = ""
		c.origins[p.key] = fmt.Sprintf("default, as %s is not free; give %s", p.place(), p.flag())
	}
	*p.addr(&c.Config) = addr
}

// open listens, or leaves the port out.
func (p extraPort) open(n *Node) (err error) {
	addr := p.addr(&n.cfg)
	if *addr == "" {
		return nil
	}
	l, err := listen(p.what, *addr, p.flag())
	switch {
	case err == nil:
		*p.listener(n) = l
	case !n.cfg.Stated[p.key]:
		n.log.Warn("no "+p.what+" port: "+p.without, zap.Error(err))
		*addr, err = "", nil
	}
	return err
}

// missing is what the banner says of a port that there is not, "" where nobody wants it.
func (p extraPort) missing(c Config) string {
	if *p.addr(&c) != "" || c.Stated[p.key] {
		return ""
	}
	return fmt.Sprintf("no %s port: %s is taken; %s", p.what, p.place(), p.without)
}

// plane is a port of this node, with the flag that moves it.
type plane struct{ flag, addr string }

// planes are the ports that are known by now.
func (c *Loaded) planes() []plane {
	all := []plane{{"--client-addr", c.ClientAddr}, {"--cluster-addr", c.ClusterAddr}, {"--gossip-addr", c.GossipAddr}}
	for _, p := range extraPorts() {
		if addr := *p.addr(&c.Config); addr != "" {
			all = append(all, plane{p.flag(), addr})
		}
	}
	return all
}

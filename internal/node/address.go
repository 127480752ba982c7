package node

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
)

// fillAddresses derives what was not said: the cluster port follows the client
// port, the gossip port is two above it, the id names the data directory.
func (c *Config) fillAddresses() error {
	_, port, err := net.SplitHostPort(c.ClientAddr)
	if err != nil {
		return fmt.Errorf("client address %q: it must be host:port or :port", c.ClientAddr)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65533 {
		return fmt.Errorf("client address %q: the port must be a number from 1 to 65533", c.ClientAddr)
	}
	host, _, _ := net.SplitHostPort(c.ClientAddr)
	if c.ClusterAddr == "" {
		c.ClusterAddr = net.JoinHostPort(host, strconv.Itoa(n+1))
	}
	if c.GossipAddr == "" {
		c.GossipAddr = net.JoinHostPort(host, strconv.Itoa(n+2))
	}
	for what, a := range map[string]string{"cluster": c.ClusterAddr, "gossip": c.GossipAddr} {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("%s address %q: it must be host:port or :port", what, a)
		}
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// dir is the node's own directory.
func (c *Config) dir() (string, error) {
	switch {
	case c.ID == "":
		return filepath.Join(c.DataDir, "port-"+portOf(c.ClientAddr)), nil
	case c.ID == "wal":
		return "", fmt.Errorf("%q is not a node id: it names the directory of the logs", c.ID)
	case !idPattern.MatchString(c.ID):
		return "", fmt.Errorf("node id %q: use letters, digits, '.', '_' and '-', at most 64", c.ID)
	}
	return filepath.Join(c.DataDir, c.ID), nil
}

// announced is the host that others are told (DESIGN 3a): what --advertise says,
// else the host of the client address, else loopback when every seed is
// loopback, else the first private IPv4 or global IPv6 address.
func (c *Config) announced() string {
	if c.Advertise != "" {
		return c.Advertise
	}
	if host, _, _ := net.SplitHostPort(c.ClientAddr); !c.anyHost() {
		return host
	}
	local := true
	for _, s := range c.Seeds {
		host, _, err := net.SplitHostPort(s)
		local = local && err == nil && isLoopback(host)
	}
	if local {
		return "127.0.0.1"
	}
	return machineAddress()
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func machineAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	six := ""
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || n.IP.IsLoopback():
		case n.IP.To4() != nil && n.IP.IsPrivate():
			return n.IP.String()
		case n.IP.To4() == nil && n.IP.IsGlobalUnicast() && six == "":
			six = n.IP.String()
		}
	}
	if six != "" {
		return six
	}
	return "127.0.0.1"
}

// anyHost reports whether the client address leaves open where this node is.
func (c *Config) anyHost() bool {
	host, _, _ := net.SplitHostPort(c.ClientAddr)
	return host == "" || unspecified(host)
}

// at are the addresses to announce for a host: it, with the ports that are listened on.
func (c *Config) at(host string) meta.Addresses {
	on := func(listen string) string { return net.JoinHostPort(host, portOf(listen)) }
	return meta.Addresses{Client: on(c.ClientAddr), Cluster: on(c.ClusterAddr), Gossip: on(c.GossipAddr)}
}

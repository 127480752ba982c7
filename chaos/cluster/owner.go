package cluster

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// stranger is who nobody knows: a process that ended before it could be asked for.
const stranger = -1

// diagKnown says that the kernel has named a socket once: what it does not name then is
// gone, and a list of all of them need not be searched.
var diagKnown atomic.Bool

// owner is the node that has dialled a connection. The kernel knows: what a connection
// says of itself would have to be parsed, and gossip does not say it.
func (c *Cluster) owner(in net.Conn) int {
	own, other := in.RemoteAddr().(*net.TCPAddr), in.LocalAddr().(*net.TCPAddr)
	inode, err := inodeOfStream(own, other)
	if err == nil {
		diagKnown.Store(true)
	} else if !diagKnown.Load() {
		inode = inodeOf(own.Port)
	}
	if inode == "" {
		return stranger
	}
	want := "socket:[" + inode + "]"
	for i, n := range c.Nodes {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", n.PID()))
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == want {
				return i
			}
		}
	}
	return stranger
}

// inodeOf is the inode of the socket that a local TCP port is, "" when there is none.
func inodeOf(port int) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	local := fmt.Sprintf("0100007F:%04X", port) // 127.0.0.1, as the kernel writes it
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 9 && w[1] == local && w[9] != "0" {
			return w[9]
		}
	}
	return ""
}

// byPort is the node that sends packets from a port.
func (c *Cluster) byPort(port int) int {
	for i, n := range c.Nodes {
		if port == n.port+1 || port == n.port+2 {
			return i
		}
	}
	return stranger
}

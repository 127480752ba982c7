package cluster

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// admin is where the node tells of itself.
func (n *Node) admin() string { return net.JoinHostPort(ownHost, strconv.Itoa(n.port+3)) }

// Usage is what a node has in use of things that are given back.
type Usage struct {
	Descriptors int
	Goroutines  int
}

// Usage asks the kernel and the node.
func (n *Node) Usage() (u Usage, err error) {
	if n.Paused() || !n.Runs() {
		return u, fmt.Errorf("%s does not run", n.Name)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	if err != nil {
		return u, err
	}
	u.Descriptors = len(fds)
	c := http.Client{Timeout: askMax, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + n.admin() + "/metrics")
	if err != nil {
		return u, err
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			u.Goroutines, err = strconv.Atoi(v)
			return u, err
		}
	}
	return u, fmt.Errorf("%s does not tell how many goroutines it has", n.Name)
}

// AwaitEnd waits until the process has ended by itself, for so long at most.
func (n *Node) AwaitEnd(limit time.Duration) bool {
	n.mu.Lock()
	ended, runs := n.ended, n.cmd != nil
	n.mu.Unlock()
	if !runs {
		return true
	}
	select {
	case <-ended:
		n.c.told(n, "left")
		return true
	case <-time.After(limit):
		return false
	}
}

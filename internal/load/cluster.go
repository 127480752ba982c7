package load

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// cluster is who answers for which slot, shared by all workers.
type cluster struct {
	owners    [shardmap.Slots]atomic.Pointer[string]
	redirects atomic.Int64
}

// discover asks the addresses in turn for the map.
func discover(addrs []string) (*cluster, error) {
	var errs []error
	for _, a := range addrs {
		v, err := askOnce(a, "CLUSTER", "SLOTS")
		if err == nil {
			var spans []Span
			if spans, err = ParseSlots(v, a); err == nil {
				return clusterOf(spans, a), nil
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", a, err))
	}
	return nil, errors.Join(errs...)
}

// clusterOf fills holes with the node that was asked: it knows the way, or says CLUSTERDOWN.
func clusterOf(spans []Span, asked string) *cluster {
	c := &cluster{}
	for i := range c.owners {
		c.owners[i].Store(&asked)
	}
	for _, s := range spans {
		for i := s.First; i <= s.Last; i++ {
			c.owners[i].Store(&s.Addr)
		}
	}
	return c
}

// nodes are the addresses that answer for something.
func (c *cluster) nodes() (addrs []string) {
	seen := map[string]bool{}
	for i := range c.owners {
		if a := *c.owners[i].Load(); !seen[a] {
			seen[a] = true
			addrs = append(addrs, a)
		}
	}
	return addrs
}

const (
	dialTimeout  = time.Second
	replyTimeout = 5 * time.Second
)

// askOnce sends one command on a connection of its own.
func askOnce(addr string, words ...string) (resp.Reply, error) {
	nc, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return resp.Reply{}, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(replyTimeout))
	if _, err := nc.Write(resp.AppendCommand(nil, words...)); err != nil {
		return resp.Reply{}, err
	}
	return resp.ReadReply(bufio.NewReader(nc))
}

// ServerName is what a server says it is: name and version.
func ServerName(addr string) string {
	v, err := askOnce(addr, "INFO", "server")
	if err != nil {
		return "unknown"
	}
	fields := map[string]string{}
	for l := range strings.Lines(string(v.Text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), ":")
		fields[name] = value
	}
	for _, name := range []string{"aegis_version", "valkey_version", "redis_version"} {
		if fields[name] != "" {
			return strings.TrimSuffix(name, "_version") + " " + fields[name]
		}
	}
	return "unknown"
}

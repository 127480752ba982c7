package suite

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

const (
	floodConns  = 1000
	hotKeyBytes = 256 << 10
)

// hotKey makes one key take half of all operations, and values large.
func hotKey(r *run) error {
	r.l.keys.hot = true
	r.l.big.Store(hotKeyBytes)
	return nil
}

// flood opens connections that are in the way: a third says nothing, a third stops in the
// middle of a command, a third asks for much and reads none of it.
func flood(r *run) *struck {
	nodes := busiest(r)
	addr := r.c.Nodes[nodes[0]].Addr()
	half := []byte("*3\r\n$3\r\nSET\r\n$5\r\nflood\r\n$100")
	ask := []byte(strings.Repeat(string(resp.AppendCommand(nil, "INFO")), 50))
	var open []net.Conn
	var why error
	for i := range floodConns {
		c, err := net.DialTimeout("tcp", addr, dialMax)
		if err != nil {
			why = err
			continue
		}
		open = append(open, c)
		switch i % 3 {
		case 1:
			_, _ = c.Write(half)
		case 2:
			_, _ = c.Write(ask)
		}
	}
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(2*lease, 4*lease),
		heal: func() error {
			for _, c := range open {
				_ = c.Close()
			}
			return nil
		},
		evidence: func() (string, error) {
			if len(open) < floodConns/2 {
				return "", errors.Join(fmt.Errorf("only %d connections stood", len(open)), why)
			}
			return fmt.Sprintf("%d connections stood", len(open)), nil
		},
	}
}

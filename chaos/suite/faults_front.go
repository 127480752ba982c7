package suite

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// asked is the direction from clients to nodes, answered the one back.
func asked(nodes []int) []way    { return outward([]int{cluster.Clients}, nodes) }
func answered(nodes []int) []way { return inward([]int{cluster.Clients}, nodes) }
func talk(nodes []int) []way     { return append(asked(nodes), answered(nodes)...) }

// front gives what passes between clients and the node that serves most groups a rule.
// Other nodes notice nothing: no lease may move for it.
func front(who func([]int) []way, what string, rule cluster.Rule, count func(cluster.Carried) int64) func(r *run) *struck {
	return func(r *run) *struck {
		nodes := busiest(r)
		list := who(nodes)
		seen := r.acted(list[:1], what, count) // where nothing arrives, nothing goes back
		r.set(list, rule)
		return &struck{
			nodes: nodes, target: "clients of " + r.names(nodes), hold: r.span(2*lease, 4*lease), evidence: seen,
			heal: func() error { r.set(list, cluster.Rule{}); return nil },
		}
	}
}

func delayed(c cluster.Carried) int64 { return c.Delayed }

// ghosts breaks the connections of clients off again and again, on their side only: the
// node goes on serving connections behind which nobody is, and gets commands of each
// client by several of them.
func ghosts(r *run) *struck {
	nodes := busiest(r)
	list := asked(nodes)
	seen := r.acted(list, "left standing", kept)
	r.set(list, cluster.Rule{Linger: true})
	for end := r.l.now() + r.span(2*lease, 4*lease); r.l.now() < end; r.wait(r.span(20*time.Millisecond, 200*time.Millisecond)) {
		r.c.Abandon(cluster.Clients, nodes[0])
	}
	return &struck{
		nodes: nodes, target: "clients of " + r.names(nodes), evidence: seen,
		heal: func() error { r.set(list, cluster.Rule{}); return nil },
	}
}

// clientResets breaks the connections of clients to all nodes off by RST, at both ends.
func clientResets(r *run) *struck {
	broken := 0
	for end := r.l.now() + r.span(2*lease, 4*lease); r.l.now() < end; r.wait(r.span(10*time.Millisecond, 150*time.Millisecond)) {
		for n := range r.c.Nodes {
			broken += r.c.Break(cluster.Clients, n)
		}
	}
	return &struck{
		nodes: everyone(r), target: "all clients", heal: func() error { return nil },
		evidence: func() (string, error) {
			if broken == 0 {
				return "", errors.New("no connection stood")
			}
			return fmt.Sprintf("%d connections were broken off", broken), nil
		},
	}
}

// How connections come and go in churn.
const (
	churners   = 8
	churnLeast = 200 // connections that say something
)

// churn opens connections, asks for something and goes away: a third in peace, a third
// without hearing the answer, a third by RST in the middle of a command.
func churn(r *run) *struck {
	nodes := busiest(r)
	addr := r.c.Nodes[nodes[0]].Addr()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var opened, refused atomic.Int64
	for k := range churners {
		wg.Go(func() {
			for i := k; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := comeAndGo(addr, i%3); err != nil {
					refused.Add(1)
				} else {
					opened.Add(1)
				}
			}
		})
	}
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(2*lease, 4*lease),
		heal: func() error { close(stop); wg.Wait(); return nil },
		evidence: func() (string, error) {
			if opened.Load() < churnLeast {
				return "", fmt.Errorf("only %d connections came and went, %d were refused", opened.Load(), refused.Load())
			}
			return fmt.Sprintf("%d connections came and went", opened.Load()), nil
		},
	}
}

func comeAndGo(addr string, how int) error {
	c, err := net.DialTimeout("tcp", addr, dialMax)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(dialMax))
	switch how {
	case 0:
		if _, err = c.Write([]byte("*1\r\n$4\r\nPING\r\n")); err == nil {
			_, err = c.Read(make([]byte, 16))
		}
	case 1:
		_, err = c.Write([]byte("*1\r\n$4\r\nINFO\r\n"))
	case 2:
		_ = c.(*net.TCPConn).SetLinger(0)
		_, err = c.Write([]byte("*3\r\n$3\r\nSET\r\n$5\r\nchurn\r\n$100\r\nhalf"))
	}
	return err
}

// largeBytes is as long as large values are: half of the longest that a shard of the
// suite's layout takes.
const largeBytes = 512 << 10

// largeValues makes one value in eight so long that a follower needs many frames for it,
// over links that are slow.
func largeValues(r *run) *struck {
	nodes := busiest(r)
	list := both(nodes, r.others(nodes))
	seen := r.acted(list, "delayed", delayed)
	before := r.l.large.Load()
	r.set(list, cluster.Rule{Delay: 2 * time.Millisecond, Jitter: 5 * time.Millisecond})
	r.l.big.Store(largeBytes)
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(2*lease, 4*lease),
		heal: func() error { r.l.big.Store(0); r.set(list, cluster.Rule{}); return nil },
		evidence: func() (string, error) {
			n := r.l.large.Load() - before
			if n == 0 {
				return "", errors.New("no large value was acknowledged")
			}
			what, err := seen()
			return fmt.Sprintf("%d values of %d KiB were acknowledged; %s", n, largeBytes>>10, what), err
		},
	}
}

// slowNode lets a node stand still and go on in turn, some dozen milliseconds each: it
// lives, and is slow in everything. The others must not wait for it.
func slowNode(r *run) *struck {
	nodes := idlest(r)
	n := r.c.Nodes[nodes[0]]
	var err error
	times := 0
	for end := r.l.now() + r.span(2*lease, 4*lease); err == nil && r.l.now() < end; times++ {
		err = n.Pause()
		r.wait(r.span(20*time.Millisecond, 60*time.Millisecond))
		n.Resume()
		r.wait(r.span(10*time.Millisecond, 30*time.Millisecond))
	}
	return &struck{
		nodes: nodes, target: n.Name, heal: func() error { return err },
		evidence: func() (string, error) {
			if times < 5 {
				return "", fmt.Errorf("it stood still only %d times", times)
			}
			return fmt.Sprintf("it stood still %d times", times), nil
		},
	}
}

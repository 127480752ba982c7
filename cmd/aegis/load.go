package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
)

// fetchStatus asks a node for the cluster's status.
func fetchStatus(addr string) (r node.ClusterReport, err error) {
	b, err := admin(addr, "status")
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// load writes at a fixed rate and says once a second how it goes.
func (d *demo) load(ctx context.Context, rate int) {
	var seeds []string
	for _, n := range d.nodes {
		seeds = append(seeds, net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)))
	}
	c, err := client.New(client.DefaultConfig(seeds))
	if err != nil {
		fmt.Fprintln(d.out, "load:", err)
		return
	}
	defer c.Close()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	second := time.Now()
	done, failed, unknown := 0, 0, 0
	worst := time.Duration(0)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		start := time.Now()
		switch err := c.Set(ctx, fmt.Sprintf("demo:%d", i%10000), []byte("value")); {
		case err == nil:
			done++
		case errors.Is(err, client.ErrAmbiguous): // it was sent to the node that died
			unknown++
		default:
			failed++
		}
		worst = max(worst, time.Since(start))
		if time.Since(second) >= time.Second {
			fmt.Fprintf(d.out, "%d writes, %d failed, %d of unknown outcome, slowest %v\n", done, failed, unknown, worst.Round(10*time.Microsecond))
			second, done, failed, unknown, worst = time.Now(), 0, 0, 0, 0
		}
	}
}

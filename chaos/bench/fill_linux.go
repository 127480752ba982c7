package bench

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// settled is how long the owners of all slots must have been the same before a
// system is filled: leases are handed around in the first moments of a cluster.
const settled = time.Second

// balanceMax is how long a system may take until each of its nodes owns something. A node
// that lost its leases to a busy machine gets none back before half a minute of
// quiet, which there may never be.
const balanceMax = time.Minute

// prepare waits until the system serves, writes every key and connects.
func (s *system) prepare(o Options, copies int) error {
	var parts [][][]int // by address, by value size
	var since time.Time
	begun := time.Now()
	err := s.await("a first fill", func() error {
		before := s.owners
		if err := s.findOwners(); err != nil {
			return err
		}
		if s.owners != before || since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < settled {
			return errNotYet
		}
		parts = s.divide(o.keysOf(copies))
		for a, addr := range s.addrs {
			if len(parts[a][0]) == 0 {
				if time.Since(begun) < balanceMax {
					return fmt.Errorf("%s owns nothing", addr)
				}
				continue
			}
			if err := fill(addr, parts[a], copies-1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	owners, parts := s.owning(o, parts)
	s.gen, err = newGenerator(owners, o.Conns, func(a int) [][]int { return parts[a] })
	return err
}

// owning are the addresses that serve keys, and which ones.
func (s *system) owning(o Options, parts [][][]int) (addrs []string, keys [][][]int) {
	for a, addr := range s.addrs {
		if len(parts[a][0]) == 0 {
			fmt.Fprintf(o.Log, "%s: %s owns nothing: the others serve all keys\n", s.name, addr)
			continue
		}
		addrs, keys = append(addrs, addr), append(keys, parts[a])
	}
	return addrs, keys
}

// divide says which keys each address serves, of so many of each value size.
func (s *system) divide(keys []int) [][][]int {
	parts := make([][][]int, len(s.addrs))
	for a := range parts {
		parts[a] = make([][]int, len(valueSizes))
	}
	for i, size := range valueSizes {
		for k := range keys[i] {
			a := s.owners[shardmap.SlotOf(load.AppendKey(nil, keyPrefix(size), k))]
			parts[a][i] = append(parts[a][i], k)
		}
	}
	return parts
}

// fillDepth is the pipeline of the fill.
const fillDepth = 100

// fill writes the keys of one server and waits for their copies.
func fill(addr string, keys [][]int, replicas int) error {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(startMax))
	r := bufio.NewReaderSize(nc, 64<<10)
	w := newWork()
	for i, size := range valueSizes {
		w.set(Cell{Op: "SET", Value: size})
		for rest := keys[i]; len(rest) > 0; {
			n := min(fillDepth, len(rest))
			if err := fillSome(nc, r, w, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
	if _, err := nc.Write(resp.AppendCommand(nil, "WAIT", strconv.Itoa(replicas), "10000")); err != nil {
		return err
	}
	v, err := resp.ReadReply(r)
	if err != nil {
		return fmt.Errorf("WAIT %d: %w", replicas, err)
	}
	if v.IsError() || int(v.Int) < replicas {
		return fmt.Errorf("WAIT %d: %d %s", replicas, v.Int, v.Text)
	}
	return nil
}

func fillSome(nc net.Conn, r *bufio.Reader, w *work, keys []int) error {
	var out []byte
	for _, k := range keys {
		out = w.appendRequest(out, k)
	}
	if _, err := nc.Write(out); err != nil {
		return err
	}
	for i := range keys {
		v, err := resp.ReadReply(r)
		if err != nil {
			return fmt.Errorf("filling: %d of %d replies, then %w", i, len(keys), err)
		}
		if v.IsError() {
			return fmt.Errorf("filling: %s", v.Text)
		}
	}
	return nil
}

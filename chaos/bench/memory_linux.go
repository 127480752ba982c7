package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Memory fills one server after the other and reads what the system says that its
// process takes, without and with deadlines.
func Memory(o MemoryOptions) (MemoryReport, error) {
	begun := time.Now()
	r := MemoryReport{Machine: machine(), Entries: o.Entries}
	if o.Entries < 1000 {
		return r, errors.New("fewer than 1000 entries say nothing about one")
	}
	var redis string
	var err error
	if r.Aegis, redis, r.Redis, err = programs(o.Aegis, o.Redis); err != nil {
		return r, err
	}
	for _, ttl := range []bool{false, true} {
		row := MemoryRow{TTL: ttl}
		if row.Aegis, err = o.footprint(ttl, o.startAegis); err != nil {
			return r, err
		}
		if redis != "" {
			f, err := o.footprint(ttl, func(dir string) (*system, error) { return startRedis(redis, dir, 1, runtime.NumCPU()) })
			if err != nil {
				return r, err
			}
			row.Redis = &f
		}
		r.Rows = append(r.Rows, row)
	}
	r.Took = time.Since(begun)
	return r, nil
}

// memoryShare is the limit of a node by entry, in bytes: enough that none is evicted.
const memoryShare = 256

func (o MemoryOptions) startAegis(dir string) (*system, error) {
	limit := max(256<<20, int64(o.Entries)*memoryShare)
	return startAegis(o.Aegis, dir, 1, runtime.NumCPU(), "--max-memory-bytes", strconv.FormatInt(limit, 10))
}

// footprint starts a system, fills it, and ends it.
func (o MemoryOptions) footprint(ttl bool, start func(dir string) (*system, error)) (f Footprint, err error) {
	dir, err := os.MkdirTemp("", "aegis-bench-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	s, err := start(dir)
	defer s.stop()
	if err != nil {
		return f, err
	}
	fmt.Fprintf(o.Log, "%s, TTL %v: %d entries\n", s.name, ttl, o.Entries)
	if err := s.await("an answer for all slots", s.findOwners); err != nil {
		return f, err
	}
	empty, err := residentOf(s.procs[0])
	if err != nil {
		return f, err
	}
	if err := o.store(s.addrs[0], ttl); err != nil {
		return f, fmt.Errorf("%s: %w", s.name, err)
	}
	full, err := residentOf(s.procs[0])
	f = footprintOf(empty, full, o.Entries)
	if held := heldBy(s.addrs[0]); held > 0 {
		f.Own = float64(held)/float64(o.Entries) - memoryKey - memoryValue
	}
	return f, err
}

// store writes all entries, and makes sure that none was evicted.
func (o MemoryOptions) store(addr string, ttl bool) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	const batch = 1000
	ok := strings.Repeat("+OK\r\n", batch)
	replies := make([]byte, len(ok))
	value := strings.Repeat("v", memoryValue)
	var b []byte
	for from := 0; from < o.Entries; from += batch {
		b = b[:0]
		n := min(batch, o.Entries-from)
		for i := from; i < from+n; i++ {
			key := fmt.Sprintf("key:%012d", i)
			if ttl {
				b = resp.AppendCommand(b, "SET", key, value, "EX", "86400")
			} else {
				b = resp.AppendCommand(b, "SET", key, value)
			}
		}
		sent := make(chan error, 1)
		go func() { _, err := nc.Write(b); sent <- err }()
		want := ok[:n*len("+OK\r\n")]
		if _, err := io.ReadFull(nc, replies[:len(want)]); err != nil {
			return err
		}
		if got := string(replies[:len(want)]); got != want {
			return fmt.Errorf("a SET is answered with %.100q", got)
		}
		if err := <-sent; err != nil {
			return err
		}
	}
	v, err := ask(addr, "DBSIZE")
	if err == nil && v.Int != int64(o.Entries) {
		err = fmt.Errorf("%d of %d entries are there", v.Int, o.Entries)
	}
	return err
}

// heldBy is what a node says that its stores hold, 0 where the server says nothing.
func heldBy(addr string) (held int64) {
	v, err := ask(addr, "INFO", "memory")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(v.Text), "\naegis_stores_held:")
	_, _ = fmt.Sscan(after, &held)
	return held
}

// residentOf is what a process has of the machine's memory, in bytes.
func residentOf(p *process) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	var size, pages int64
	_, err = fmt.Sscan(string(b), &size, &pages)
	return pages * int64(os.Getpagesize()), err
}

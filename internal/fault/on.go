//go:build chaos

package fault

import (
	"encoding/json"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether this build takes orders.
const Enabled = true

// variable names the socket on which orders come.
const variable = "CHAOS_FAULTS"

// rate is how clocks go since an order came.
type rate struct {
	at    time.Time
	ahead time.Duration // then
	ppm   int64
}

func (r *rate) skew(now time.Time) time.Duration {
	return r.ahead + time.Duration(int64(now.Sub(r.at))/1_000_000*r.ppm)
}

var (
	force                                     atomic.Pointer[Order]
	clock                                     atomic.Pointer[rate]
	stalled, failed, held, synced, wrongReads atomic.Int64
	ordering                                  sync.Mutex
)

func init() {
	force.Store(&Order{})
	clock.Store(&rate{at: time.Now()})
	path := os.Getenv(variable)
	if path == "" {
		return
	}
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		panic("fault: " + err.Error())
	}
	go listen(l)
}

func listen(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var o Order
		if json.NewDecoder(c).Decode(&o) == nil {
			_ = json.NewEncoder(c).Encode(obey(&o))
		}
		_ = c.Close()
	}
}

func obey(o *Order) State {
	ordering.Lock()
	defer ordering.Unlock()
	now := time.Now()
	ahead := clock.Load().skew(now)
	clock.Store(&rate{now, ahead, o.PPM})
	force.Store(o)
	return State{Skew: ahead, Stalled: stalled.Load(), Failed: failed.Load(), Held: held.Load(), Syncs: synced.Load(), WrongReads: wrongReads.Load()}
}

// Skew is by how much clocks that count durations are ahead.
func Skew() time.Duration { return clock.Load().skew(time.Now()) }

// Wall is by how many milliseconds the wall clock is ahead.
func Wall() int64 {
	ms := force.Load().WallMS
	if ms != 0 {
		wrongReads.Add(1)
	}
	return ms
}

// disk is a file of the log.
type disk struct {
	File
	mu   sync.Mutex
	held []byte // written, and not synced
}

// Disk gives a file what the orders make of it, where there may be orders.
func Disk(f File) File {
	if os.Getenv(variable) == "" {
		return f
	}
	return &disk{File: f}
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := force.Load()
	wait(o)
	switch {
	case o.Fails == "write":
		failed.Add(1)
		return 0, syscall.ENOSPC
	case o.Holds:
		d.held = append(d.held, b...)
		held.Add(int64(len(b)))
		return len(b), nil
	}
	if err := d.flush(); err != nil {
		return 0, err
	}
	return d.File.Write(b)
}

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := force.Load()
	wait(o)
	if o.Fails == "sync" {
		failed.Add(1)
		return syscall.EIO
	}
	if err := d.flush(); err != nil {
		return err
	}
	synced.Add(1)
	return d.File.Sync()
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.flush()
	if e := d.File.Close(); err == nil {
		err = e
	}
	return err
}

// flush hands over what is held.
func (d *disk) flush() error {
	if len(d.held) == 0 {
		return nil
	}
	held.Add(-int64(len(d.held)))
	_, err := d.File.Write(d.held)
	d.held = d.held[:0]
	return err
}

func wait(o *Order) {
	if o.Stall > 0 {
		stalled.Add(1)
		time.Sleep(o.Stall)
	}
}

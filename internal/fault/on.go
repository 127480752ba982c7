//go:build chaos || mutants

package fault

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
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
	force                                           atomic.Pointer[Order]
	clock                                           atomic.Pointer[rate]
	stalled, hung, failed, held, synced, wrongReads atomic.Int64
	ordering                                        sync.Mutex
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
	return State{Skew: ahead, Stalled: stalled.Load(), Hung: hung.Load(), Failed: failed.Load(), Held: held.Load(), Syncs: synced.Load(), WrongReads: wrongReads.Load()}
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

// hangEvery is how often a sync that stands still looks whether it may go on.
const hangEvery = 5 * time.Millisecond

// disk is a file of the log.
type disk struct {
	Target
	name string

	mu   sync.Mutex
	at   int64  // where the file goes on
	held []byte // written, and not synced
}

// open are the files that are written to, by their names.
var open sync.Map

// Disk gives a new file what the orders make of it, where there may be orders.
func Disk(name string, f Target) File {
	if os.Getenv(variable) == "" {
		return f
	}
	d := &disk{Target: f, name: name}
	open.Store(name, d)
	return d
}

// Unsynced is what of a file is in memory only: who reads the file reads that, too.
func Unsynced(name string) []byte {
	d, ok := open.Load(name)
	if !ok {
		return nil
	}
	return d.(*disk).unsynced()
}

func (d *disk) unsynced() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.held)
}

// Write implements File.
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
	n, err := d.WriteAt(b, d.at)
	d.at += int64(n)
	return n, err
}

// Sync implements File.
func (d *disk) Sync() error {
	hang()
	d.mu.Lock()
	defer d.mu.Unlock()
	o := force.Load()
	wait(o)
	switch o.Fails {
	case "lost":
		d.lose()
		fallthrough
	case "sync":
		failed.Add(1)
		return syscall.EIO
	}
	if err := d.flush(); err != nil {
		return err
	}
	synced.Add(1)
	return d.Target.Sync()
}

// Close implements File.
func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	open.CompareAndDelete(d.name, d)
	return errors.Join(d.flush(), d.Target.Close())
}

// flush hands over what is held.
func (d *disk) flush() error {
	if len(d.held) == 0 {
		return nil
	}
	_, err := d.WriteAt(d.held, d.at)
	d.lose()
	return err
}

// lose forgets what is held. What comes later stands behind it, as kernels have it.
func (d *disk) lose() {
	held.Add(-int64(len(d.held)))
	d.at += int64(len(d.held))
	d.held = d.held[:0]
}

func wait(o *Order) {
	if o.Stall > 0 {
		stalled.Add(1)
		time.Sleep(o.Stall)
	}
}

// hang stands still until an order lets syncs go on. Writes go on meanwhile.
func hang() {
	for first := true; force.Load().Hangs; first = false {
		if first {
			hung.Add(1)
		}
		time.Sleep(hangEvery)
	}
}

package main

import (
	"os"
	"syscall"
	"time"
)

// wardVariable tells a process that it is the worker of a supervisor, and has its pipes. It
// is no setting.
const wardVariable = "AEGISKV_WORKER"

// The descriptors of a worker's pipes.
const (
	wardOrders = 3
	wardWill   = 4
)

// orphanMax is how long a worker whose parent is gone takes to leave, at most.
const orphanMax = 6 * time.Second

// ward is the worker's end of the pipes to its supervisor.
type ward struct {
	orders *os.File // a byte is an order to leave; the end of it is the end of the parent
	will   *os.File
}

// newWard is nil for a process that nobody supervises.
func newWard() *ward {
	if os.Getenv(wardVariable) == "" {
		return nil
	}
	_ = os.Unsetenv(wardVariable)
	pipe := func(fd int, name string) *os.File {
		syscall.CloseOnExec(fd)
		_ = syscall.SetNonblock(fd, true)
		return os.NewFile(uintptr(fd), name)
	}
	return &ward{orders: pipe(wardOrders, "orders"), will: pipe(wardWill, "will")}
}

// heed leaves at the first order and quits at the second. Without a parent nobody would
// give a second one, and nobody would notice a node that hangs: it has its time.
func (w *ward) heed(leave, quit func()) {
	for n := 1; ; n++ {
		if _, err := w.orders.Read(make([]byte, 1)); err != nil {
			leave()
			time.AfterFunc(orphanMax, quit)
			return
		}
		if leave(); n == 2 {
			quit()
		}
	}
}

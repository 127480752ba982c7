//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
)

const (
	// restartMin is how long a worker that died stays down. Its groups are taken over in
	// that time, which a start beside it would lengthen: it costs a core for 0.1 s.
	restartMin = 250 * time.Millisecond
	restartMax = 5 * time.Second
	// instantDeath is how soon after its start a death says that another start will not help.
	instantDeath = 10 * time.Second
	// deathsMax is how many such deaths in a row end the parent as well.
	deathsMax = 6
	// quitMax is how long a worker that was told twice to go may take to do so.
	quitMax = time.Second
	// streamsMax is how long a parent that ends waits for peers that UDP may not reach.
	streamsMax = time.Second
	// panicCode is what the Go runtime ends a process with; nobody in a node does.
	panicCode = 2
)

// wordTimes are the waits before each datagram that says that an incarnation is over.
var wordTimes = []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond}

// supervisor is the parent of a node's process, and all that is left when that one
// dies: it has no port, no disk and no state but the node's will.
type supervisor struct {
	log      func() *zap.Logger
	signals  chan os.Signal
	heir     multiraft.Heir
	will     node.Will     // of the worker that heir knows
	told     bool          // to end: a worker that dies is not started again
	born     bool          // a worker has been started
	deaths   int           // one soon after the other
	pause    time.Duration // before the next start
	speaking chan struct{} // closed when the last streams are said; nil before any
}

// supervise runs a node in a child process until that has ended for good.
func supervise(cfg *node.Loaded) error {
	runtime.GOMAXPROCS(1)
	s := &supervisor{
		log:     func() *zap.Logger { return newLogger(cfg, os.Stderr) },
		signals: make(chan os.Signal, 16), pause: restartMin,
	}
	signal.Notify(s.signals, append(leaveSignals(), syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)...)
	for {
		begun := time.Now()
		w, err := startWorker()
		if err != nil {
			if err = s.unborn(err); err != nil || s.told {
				s.hush()
				return err
			}
			continue
		}
		s.born = true
		rest()
		end := s.attend(w)
		if !crashed(end) {
			return s.part(end)
		}
		if err := s.survive(end, time.Since(begun)); err != nil || s.told {
			s.hush()
			return err
		}
	}
}

// attend passes signals on and keeps the will until the worker is dead for certain.
func (s *supervisor) attend(w *worker) syscall.WaitStatus {
	var quit <-chan time.Time
	orders, wills := 0, w.wills
	for {
		select {
		case will, ok := <-wills:
			if !ok {
				wills = nil // it is about to end
				continue
			}
			s.inherit(will)
		case sig := <-s.signals:
			s.told = s.told || final(sig)
			if !slices.Contains(leaveSignals(), sig) {
				_ = w.process.Signal(sig)
				continue
			}
			w.order()
			if orders++; orders == 2 {
				quit = time.After(quitMax)
			}
		case <-quit:
			_ = w.process.Kill()
		case end := <-w.ended:
			for will := range w.wills { // what it wrote before it died
				s.inherit(will)
			}
			w.close()
			return end
		}
	}
}

func (s *supervisor) inherit(will node.Will) {
	s.will = will
	s.heir.Tell(will.Member())
}

// final says whether a signal is meant to end the node.
func final(sig os.Signal) bool { return sig != syscall.SIGUSR1 && sig != syscall.SIGUSR2 }

// part ends as the worker has ended by its own choice. Unless all went well that may have
// been in the middle of leaving, at a second order, with its leases: as its death is proven
// here too, they are released.
func (s *supervisor) part(end syscall.WaitStatus) error {
	if exitStatus(end) != 0 {
		s.release()
		s.hush()
	}
	return exitAs(end)
}

// survive tells the peers that the worker is dead and waits before the next one starts. An
// error, or having been told to end, means that there is no next one.
func (s *supervisor) survive(end syscall.WaitStatus, lived time.Duration) error {
	s.release()
	log := s.log()
	defer func() { _ = log.Sync() }()
	log.Error("the worker died: its leases are released", zap.String("by", cause(end)), zap.Duration("lived", lived),
		zap.Uint64("incarnation", s.heir.Dead().Inc.Counter), zap.Int("peers", len(s.will.Peers)))
	if s.told {
		return &exitError{exitStatus(end), "the worker died as it left, by " + cause(end)}
	}
	if lived >= instantDeath {
		s.deaths, s.pause = 0, restartMin
	}
	if s.deaths++; s.deaths >= deathsMax {
		return &exitError{exitStatus(end), fmt.Sprintf("the node died %d times within %v of its start, the last time by %s, and is not started again; its log above says why", s.deaths, instantDeath, cause(end))}
	}
	log.Info("the worker starts again", zap.Duration("in", s.pause))
	s.wait()
	return nil
}

// unborn waits before the next start where one has failed. What ran before will run again:
// where a machine has killed it for want of memory there may be none for a process yet. An
// error means that there is no next one.
func (s *supervisor) unborn(why error) error {
	why = fmt.Errorf("the process of the node cannot be started: %w", why)
	if s.deaths++; !s.born || s.deaths >= deathsMax {
		return why
	}
	log := s.log()
	defer func() { _ = log.Sync() }()
	log.Error("the worker could not be started again", zap.Error(why), zap.Duration("nextIn", s.pause))
	s.wait()
	return nil
}

// wait is the pause before the next start, which being told to end cuts short.
func (s *supervisor) wait() {
	next := time.After(s.pause)
	s.pause = min(2*s.pause, restartMax)
	for {
		select {
		case sig := <-s.signals:
			if s.told = s.told || final(sig); s.told {
				return
			}
		case <-next:
			return
		}
	}
}

// release says the dead worker's last word: what it still held is free at once, and
// nobody waits for its leases to run out.
func (s *supervisor) release() {
	if !s.heir.Bury() {
		return
	}
	s.hush()
	word := s.will.LastWord()
	s.speaking = make(chan struct{})
	go func(packet []byte) {
		defer close(s.speaking)
		ctx, cancel := context.WithTimeout(context.Background(), streamsMax)
		defer cancel()
		word.Streams(ctx, packet)
	}(s.heir.LastWord())
	for _, d := range wordTimes {
		time.Sleep(d)
		if err := word.Datagrams(s.heir.LastWord()); err != nil {
			s.log().Warn("the peers cannot be told by UDP", zap.Error(err))
		}
	}
}

// hush waits until the last streams have been said, or could not be.
func (s *supervisor) hush() {
	if s.speaking != nil {
		<-s.speaking
	}
}

// crashed says whether a process ended in a way that it did not choose.
func crashed(end syscall.WaitStatus) bool { return end.Signaled() || end.ExitStatus() == panicCode }

// cause names what a process that crashed died of.
func cause(end syscall.WaitStatus) string {
	if end.Signaled() {
		return "signal: " + end.Signal().String()
	}
	return "panic"
}

// exitStatus is what a shell would say of a process.
func exitStatus(end syscall.WaitStatus) int {
	if end.Signaled() {
		return 128 + int(end.Signal())
	}
	return end.ExitStatus()
}

// exitAs ends as the worker has ended, which has said why.
func exitAs(end syscall.WaitStatus) error {
	if code := exitStatus(end); code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// worker is the process that a supervisor has started.
type worker struct {
	process *os.Process
	orders  *os.File                // a byte is an order to leave; the worker's ward reads them
	wills   chan node.Will          // closed when the worker can write none any more
	ended   chan syscall.WaitStatus // its death, proven
}

// startWorker starts this very program again, even if another one has its name by now: a
// node that crashes comes back as what it was, and an upgrade is a restart that
// somebody asks for.
func startWorker() (*worker, error) {
	exe, err := thisProgram()
	if err != nil {
		return nil, err
	}
	heard, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer heard.Close()
	wills, written, err := os.Pipe()
	if err != nil {
		orders.Close()
		return nil, err
	}
	defer written.Close()
	attr := &os.ProcAttr{
		Env:   append(os.Environ(), wardVariable+"=1"),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, wardOrders: heard, wardWill: written},
		Sys:   &syscall.SysProcAttr{},
	}
	dieWithMe(attr.Sys, syscall.SIGTERM)
	p, err := os.StartProcess(exe, os.Args, attr)
	if err != nil {
		return nil, errors.Join(err, orders.Close(), wills.Close())
	}
	w := &worker{process: p, orders: orders, wills: make(chan node.Will), ended: make(chan syscall.WaitStatus, 1)}
	go w.read(wills)
	go w.reap()
	return w, nil
}

func (w *worker) read(from *os.File) {
	defer close(w.wills)
	defer from.Close()
	_ = node.ReadWills(from, func(will node.Will) { w.wills <- will })
}

// reap waits for the worker, and for everybody else's children whom a process with
// number 1 inherits. That the kernel gave the worker's end away here is the one proof
// of its death (D2).
func (w *worker) reap() {
	for {
		var end syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &end, 0, nil)
		switch {
		case err != nil && !errors.Is(err, syscall.EINTR):
			panic(fmt.Sprintf("wait for the worker: %v", err)) // it was never waited for
		case err == nil && pid == w.process.Pid && (end.Exited() || end.Signaled()):
			w.ended <- end
			return
		}
	}
}

// order tells the worker to leave: by a pipe, not by the signal, because a terminal or
// systemd sends that one to both processes, and the worker would take the copy for a
// second order.
func (w *worker) order() { _, _ = w.orders.Write([]byte{0}) }

func (w *worker) close() {
	_ = w.orders.Close()
	_ = w.process.Release()
}

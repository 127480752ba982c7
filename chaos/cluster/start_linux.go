package cluster

import (
	"os/exec"
	"runtime"
	"syscall"
)

// starter starts processes that get SIGKILL when this one ends in whatever way. The
// kernel ties the signal to the thread that started them: it must live as long as they.
type starter struct{ work chan func() }

func newStarter() *starter {
	s := &starter{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error)
	s.work <- func() { done <- cmd.Start() }
	return <-done
}

func (s *starter) close() { close(s.work) }

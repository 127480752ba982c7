package peer

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// process is one server program that can be started again.
type process struct {
	program string
	args    []string
	log     string

	mu    sync.Mutex
	cmd   *exec.Cmd // nil: it does not run
	ended chan struct{}
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		_ = log.Close()
		return fmt.Errorf("%s cannot be started: %w", p.program, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		p.mu.Lock()
		p.cmd = nil
		p.mu.Unlock()
		close(ended)
	}()
	return nil
}

// signal says whether there was a process to send it to.
func (p *process) signal(s syscall.Signal) (ended chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil, false
	}
	return p.ended, p.cmd.Process.Signal(s) == nil
}

// kill ends the process and waits until it is gone.
func (p *process) kill() {
	if ended, ok := p.signal(syscall.SIGKILL); ok {
		<-ended
	}
}

// stopped says whether the process stands still, as the kernel has it.
func (p *process) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	s := string(b)
	return strings.HasPrefix(s[strings.LastIndexByte(s, ')')+1:], " T")
}

func (p *process) runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

//go:build !linux

package cluster

import (
	"os/exec"
	"syscall"
)

// starter starts processes in a group of their own: Ctrl-C is for the suite, which ends
// them.
type starter struct{}

func newStarter() *starter { return &starter{} }

func (s *starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

func (s *starter) close() {}

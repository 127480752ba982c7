package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// says wants an error with all parts.
func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("the error %v does not say %q", err, p)
		}
	}
}

func TestErrorsOfTheMachineSayWhatToDo(t *testing.T) {
	n := &Node{dir: &dataDir{path: "/data/node1"}}
	full := fmt.Errorf("open raft.db: %w; if the file is damaged, move it away", &os.PathError{Op: "write", Path: "raft.db", Err: unix.ENOSPC})
	says(t, n.diskAdvice(full), "/data/node1", "is full", "free some space", "start it again")
	if strings.Contains(n.diskAdvice(full).Error(), "damaged") {
		t.Errorf("a full disk is called a damaged file: %v", n.diskAdvice(full))
	}
	says(t, seedAdvice(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nodee1"}}), "nodee1", "cannot be looked up", "--seeds")
	if other := errors.New("refused"); n.diskAdvice(other) != other || seedAdvice(other) != other || n.diskAdvice(nil) != nil || seedAdvice(nil) != nil {
		t.Error("other errors are changed")
	}
	cfg := DefaultConfig()
	cfg.SecretFile = filepath.Join(t.TempDir(), "none")
	_, err := New(cfg, zap.NewNop())
	says(t, err, cfg.SecretFile, "no such file", "--cluster-secret-file", "may read it")
}

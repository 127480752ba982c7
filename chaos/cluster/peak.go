package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most memory that the process has taken since it began, in bytes; 0
// when it does not run.
func (n *Node) PeakMemory() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

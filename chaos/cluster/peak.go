package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what the process takes now of memory that nobody else could have: without the
// pages of files that it has mapped, which the system takes back when it needs them; mapped
// are those. 0 when it does not run.
func (n *Node) Memory() (own, mapped int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		return 0, 0
	}
	for l := range strings.Lines(string(b)) {
		name, v, _ := strings.Cut(l, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
		switch name {
		case "RssAnon", "RssShmem":
			own += kib << 10
		case "RssFile":
			mapped = kib << 10
		}
	}
	return own, mapped
}

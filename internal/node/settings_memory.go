package node

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// machineMemory is what this process may use at most: the smaller of the
// machine's memory and its cgroup's limit, 0 where neither can be read.
func machineMemory(readFile func(string) ([]byte, error)) int64 {
	least := int64(0)
	for _, n := range []int64{
		meminfoTotal(readFile),
		limitFile(readFile, "/sys/fs/cgroup/memory.max"),
		limitFile(readFile, "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
	} {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// limitFile reads a cgroup limit; "max" and absurd values mean none.
func limitFile(readFile func(string) ([]byte, error), path string) int64 {
	b, err := readFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n > 1<<50 {
		return 0
	}
	return n
}

func meminfoTotal(readFile func(string) ([]byte, error)) int64 {
	b, err := readFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

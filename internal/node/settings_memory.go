package node

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/lru"
)

// Usable is the memory that this process may use at most.
type Usable struct {
	Bytes int64  // 0: it cannot be found out
	From  string // the file that says so
}

// warnPercent of what is usable: a stated limit above it leaves no room for the process.
const warnPercent = 90

// fitMemory lowers the default limit to what is usable, and judges a stated one.
func (c *Loaded) fitMemory() error {
	u := c.Usable
	switch {
	case u.Bytes == 0:
	case !c.Stated["maxMemoryBytes"]:
		if most := max(u.Bytes/10*6, memoryMin); most < c.MaxMemoryBytes {
			c.MaxMemoryBytes = most
			c.origins["maxMemoryBytes"] = fmt.Sprintf("default, lowered to 60 %% of the %s that %s allows", About(u.Bytes), u.From)
		}
	case c.MaxMemoryBytes > u.Bytes:
		return fmt.Errorf("%s: maxMemoryBytes is %s, but this process may use %s (%s), so it would be killed when the cache fills; give %s or less, which is %d %%, or leave the setting out for 60 %%",
			c.Origin("maxMemoryBytes"), About(c.MaxMemoryBytes), About(u.Bytes), u.From, About(u.Bytes/100*warnPercent), warnPercent)
	case c.MaxMemoryBytes > u.Bytes/100*warnPercent:
		c.Warnings = append(c.Warnings, fmt.Sprintf("maxMemoryBytes is %s of the %s that this process may use (%s), which leaves too little for the process itself: it may be killed when the cache fills; give %s or less",
			About(c.MaxMemoryBytes), About(u.Bytes), u.From, About(u.Bytes/100*warnPercent)))
	}
	return nil
}

const (
	mappingsFile = "/proc/sys/vm/max_map_count"
	mappingsElse = 2000 // of the program, its threads and the Go heap
)

// warnOfMappings says that the stores may need more mappings than the system allows a
// process (0 = unknown), which would end the node when the cache has filled: at 250 GiB
// with the 65,530 that are usual.
func (c *Loaded) warnOfMappings(allowed int64) {
	need := lru.MappingsMax(c.MaxMemoryBytes) + mappingsElse
	if allowed > 0 && need > allowed {
		c.Warnings = append(c.Warnings, fmt.Sprintf("maxMemoryBytes is %s, for which this process may need %d mappings of the system; %s allows %d, and at the limit the node ends: raise it with sysctl -w vm.max_map_count=%d",
			About(c.MaxMemoryBytes), need, mappingsFile, allowed, 2*need))
	}
}

// usable is the least of the machine's memory and the limits of all control groups
// that this process is in: a limit of a group holds for those below it, which need not
// have one of their own.
func usable(readFile func(string) ([]byte, error)) (least Usable) {
	take := func(n int64, from string) {
		if n > 0 && (least.Bytes == 0 || n < least.Bytes) {
			least = Usable{n, from}
		}
	}
	take(meminfoTotal(readFile), "/proc/meminfo")
	for _, g := range memoryGroups(readFile) {
		for dir := path.Clean("/" + g.path); ; dir = path.Dir(dir) {
			for _, name := range g.files {
				file := path.Join(g.root, dir, name)
				take(limitFile(readFile, file), file)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// memoryGroup is where a version of control groups has the limits of this process.
type memoryGroup struct {
	root, path string
	files      []string
}

// memoryGroups reads where this process is. In a container the path may be that of
// the host, which is not there to be read, while the container's own group is at the
// root: so the root is always looked at.
func memoryGroups(readFile func(string) ([]byte, error)) []memoryGroup {
	v2 := memoryGroup{root: "/sys/fs/cgroup", files: []string{"memory.max", "memory.high"}}
	v1 := memoryGroup{root: "/sys/fs/cgroup/memory", files: []string{"memory.limit_in_bytes"}}
	b, _ := readFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(b), "\n") {
		id, rest, _ := strings.Cut(line, ":")
		controllers, at, _ := strings.Cut(rest, ":")
		switch {
		case id == "0" && controllers == "":
			v2.path = at
		case hasWord(controllers, "memory"):
			v1.path = at
		}
	}
	return []memoryGroup{v2, v1}
}

func hasWord(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

// limitFile reads a limit of a control group; "max" and absurd values mean none.
func limitFile(readFile func(string) ([]byte, error), file string) int64 {
	b, err := readFile(file)
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

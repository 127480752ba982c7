package node

import (
	"strings"
	"testing"
)

// TestUsableMemoryIsTheLeastOfAllGroups: version 1 and 2 of control groups, nested ones,
// a container that sees its own group at the root, and the machine.
func TestUsableMemoryIsTheLeastOfAllGroups(t *testing.T) {
	const gib = 1 << 30
	for _, x := range []struct {
		name  string
		files map[string]string
		bytes int64
		from  string
	}{
		{"no groups", nil, 64 * gib, "/proc/meminfo"},
		{"version 2 at the root", map[string]string{"/sys/fs/cgroup/memory.max": "2147483648\n"}, 2 * gib, "/sys/fs/cgroup/memory.max"},
		{"version 2, none", map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n"}, 64 * gib, "/proc/meminfo"},
		{"version 2, of a parent", map[string]string{
			"/proc/self/cgroup": "0::/a/b/c\n", "/sys/fs/cgroup/a/b/c/memory.max": "4294967296\n", "/sys/fs/cgroup/a/memory.max": "1073741824\n",
		}, gib, "/sys/fs/cgroup/a/memory.max"},
		{"version 2, where it is slowed down", map[string]string{
			"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "4294967296\n", "/sys/fs/cgroup/a/memory.high": "3221225472\n",
		}, 3 * gib, "/sys/fs/cgroup/a/memory.high"},
		{"a container's root, the host's path", map[string]string{
			"/proc/self/cgroup": "0::/../../host.slice\n", "/sys/fs/cgroup/memory.max": "536870912\n",
		}, gib / 2, "/sys/fs/cgroup/memory.max"},
		{"version 1, nested", map[string]string{
			"/proc/self/cgroup": "5:cpu,cpuacct:/x\n4:hugetlb,memory:/docker/abc\n0::/init.scope\n", "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, gib, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes"},
		{"version 1, at the root", map[string]string{
			"/proc/self/cgroup": "4:memory:/docker/abc\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
		}, gib / 4, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"more than the machine has", map[string]string{"/sys/fs/cgroup/memory.max": "99999999999999\n"}, 64 * gib, "/proc/meminfo"},
	} {
		if got := usable(files(x.files)); got.Bytes != x.bytes || got.From != x.from {
			t.Errorf("%s: %d bytes by %s, want %d by %s", x.name, got.Bytes, got.From, x.bytes, x.from)
		}
	}
}

// TestAStatedLimitMustFit: above nine tenths of what there is it is a warning, above
// all of it an error, with what to do; the default is lowered and says why.
func TestAStatedLimitMustFit(t *testing.T) {
	stated := func(size string) Sources {
		s := flags("max-memory-bytes", size)
		s.ReadFile = files(map[string]string{"/sys/fs/cgroup/memory.max": "1073741824\n"})
		return s
	}
	for size, warnings := range map[string]int{"512MiB": 0, "900MiB": 0, "960MiB": 1, "1GiB": 1} {
		c := load(t, stated(size))
		if len(c.Warnings) != warnings {
			t.Errorf("%s of 1 GiB: %q", size, c.Warnings)
		}
		for _, w := range c.Warnings {
			for _, part := range []string{"of the 1 GiB", "/sys/fs/cgroup/memory.max", "may be killed", "give 921 MiB or less"} {
				if !strings.Contains(w, part) {
					t.Errorf("the warning %q does not say %q", w, part)
				}
			}
		}
	}
	refused(t, stated("1025MiB"), "--max-memory-bytes", "1 GiB", "/sys/fs/cgroup/memory.max", "killed when the cache fills", "give 921 MiB or less", "leave the setting out")
	left := Sources{ReadFile: stated("").ReadFile}
	if c := load(t, left); len(c.Warnings) != 0 || !strings.Contains(c.Origin("maxMemoryBytes"), "lowered to 60 % of the 1 GiB that /sys/fs/cgroup/memory.max allows") {
		t.Errorf("the default comes from %q, warnings %q", c.Origin("maxMemoryBytes"), c.Warnings)
	}
}

// TestTooFewMappingsAreSaid: a node that may reach the limit of the system says what to do.
func TestTooFewMappingsAreSaid(t *testing.T) {
	for _, x := range []struct {
		size, allowed string
		warned        bool
	}{
		{"64GiB", "65530\n", false},
		{"400GiB", "65530\n", true},
		{"400GiB", "262144\n", false},
		{"400GiB", "", false},
	} {
		s := flags("max-memory-bytes", x.size)
		s.ReadFile = files(map[string]string{"/proc/meminfo": "MemTotal: 1073741824 kB\n", "/proc/sys/vm/max_map_count": x.allowed})
		if c := load(t, s); (len(c.Warnings) == 1) != x.warned || x.warned && !strings.Contains(c.Warnings[0], "sysctl -w vm.max_map_count=") {
			t.Errorf("%s with %q mappings: %q", x.size, x.allowed, c.Warnings)
		}
	}
}

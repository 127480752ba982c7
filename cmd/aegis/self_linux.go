package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// thisProgram is the file that this process runs, whatever its name is by now.
func thisProgram() (string, error) { return "/proc/self/exe", nil }

// rest gives back what a process does not need while it waits: the heap of its start, and
// the pages of its code, most of which were looked at once. What runs again is mapped
// again, from the memory where the child has it as well. Only code: a page that may not
// be written now may have been, by the linker, and would come back as it was before.
func rest() {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "r-xp" || !strings.HasPrefix(f[5], "/") {
			continue
		}
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err == nil {
			_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

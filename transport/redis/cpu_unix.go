//go:build unix

package redis

import (
	"fmt"
	"syscall"
	"time"
)

// cpuFields is what this process has used, and its children, of which it has none.
func cpuFields() (fields [][2]string) {
	for _, who := range []struct {
		of     int
		suffix string
	}{{syscall.RUSAGE_SELF, ""}, {syscall.RUSAGE_CHILDREN, "_children"}} {
		var u syscall.Rusage
		if syscall.Getrusage(who.of, &u) != nil {
			continue
		}
		for _, part := range []struct {
			name string
			time syscall.Timeval
		}{{"used_cpu_sys", u.Stime}, {"used_cpu_user", u.Utime}} {
			fields = append(fields, [2]string{part.name + who.suffix, fmt.Sprintf("%.6f", time.Duration(part.time.Nano()).Seconds())})
		}
	}
	return fields
}

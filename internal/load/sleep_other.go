//go:build !linux

package load

import "time"

func exactSleeps() {}

func sleep(d time.Duration) { time.Sleep(d) }

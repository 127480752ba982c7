package redis

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// errorCodesMax is how many codes are told apart: a script could make up any number.
const errorCodesMax = 64

// errorStats counts the error replies of commands by their first word, for INFO
// errorstats: how an operator sees redirects, refusals and wrong types.
type errorStats struct {
	mu     sync.Mutex // guards number; codes grow under it
	codes  sync.Map   // string -> *atomic.Int64
	number int        // of codes
	all    atomic.Int64
}

// notTried are the words of those that were refused before they began.
var notTried = []string{"MOVED", "CROSSSLOT", "CLUSTERDOWN", "DEADLINE", "NOREPLICAS", "LOADING", "MASTERDOWN"}

// countError counts the error that a command has just answered.
func (c *conn) countError(cmd *command, reply []byte) {
	c.srv.errors.count(reply)
	if slices.Contains(notTried, errorCode(reply)) && c.applied == 0 {
		c.group.calls--
		cmd.rejected.Add(1)
		return
	}
	c.group.failed++
}

// reset begins to count anew.
func (e *errorStats) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.codes.Clear()
	e.number = 0
	e.all.Store(0)
}

// count takes an error reply.
func (e *errorStats) count(reply []byte) {
	if len(reply) == 0 || reply[0] != '-' {
		return
	}
	e.all.Add(1)
	reply = reply[1:]
	end := bytes.IndexAny(reply, " \r\n")
	if end <= 0 {
		return
	}
	if n, ok := e.codes.Load(string(reply[:end])); ok {
		n.(*atomic.Int64).Add(1)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.number == errorCodesMax {
		return
	}
	n, known := e.codes.LoadOrStore(string(reply[:end]), new(atomic.Int64))
	if !known {
		e.number++
	}
	n.(*atomic.Int64).Add(1)
}

// fields are those of INFO, sorted.
func (e *errorStats) fields() (fields [][2]string) {
	e.codes.Range(func(code, n any) bool {
		fields = append(fields, [2]string{"errorstat_" + code.(string), fmt.Sprintf("count=%d", n.(*atomic.Int64).Load())})
		return true
	})
	slices.SortFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return fields
}

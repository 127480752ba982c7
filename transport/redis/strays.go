package redis

import (
	"context"
	"maps"
	"time"
)

// strayFor is how long a client may go on with a map in which this node still serves:
// those that are told MOVED, or whose connection ends, ask for the map anew within a
// second, some of them after as much as that, so that not all do at once.
const strayFor = time.Second + 2*quietFor

// SendAway waits until clients have gone, and takes those that still come: they are
// answered (MOVED, when the leases were handed over before). A client that still has the old
// map would find nobody otherwise, and tell its user so. Its connection is not ended while
// it may have that map: one that sends many commands without waiting could have one on
// its way in that very moment. Clients of the gateway have no map; theirs end as soon as
// they are quiet. SendAway returns when no command has come to the client port for strayFor,
// or when ctx ends; at once, when there is no client. Shutdown is to follow.
func (s *Server) SendAway(ctx context.Context) {
	there := s.present()
	if len(there) == 0 {
		return
	}
	maps.DeleteFunc(there, func(c *conn, _ uint32) bool { return c.forwarder == nil })
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	heard, at := s.heard(), time.Now()
	for time.Since(at) < strayFor {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.stopQuiet(there)
		if h := s.heard(); h != heard {
			heard, at = h, time.Now()
		}
	}
}

// present are the connections there are, with the pipelines that each has run.
func (s *Server) present() map[*conn]uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := make(map[*conn]uint32, len(s.conns))
	for c := range s.conns {
		there[c] = c.batches.Load()
	}
	return there
}

// heard changes when clients of the client port come, go, or have something run.
func (s *Server) heard() (n uint64) {
	s.each(func(c *conn) {
		if c.forwarder == nil {
			n += 1 + uint64(c.batches.Load())
		}
	})
	return n
}

// stopQuiet ends those connections that have run nothing since the last look.
func (s *Server) stopQuiet(looked map[*conn]uint32) {
	for c, before := range looked {
		if n := c.batches.Load(); n == before {
			c.stop()
			delete(looked, c)
		} else {
			looked[c] = n
		}
	}
}

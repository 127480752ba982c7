package clienttest

import (
	"errors"
	"slices"

	"github.com/baxromumarov/aegisKV/transport/redis"
)

// Failure is what a command meets instead of its answer.
type Failure uint8

// Failures. What the client makes of each stands behind it.
const (
	// Unavailable: no leaseholder is known. The client tries again until the
	// call's deadline, then client.ErrUnavailable.
	Unavailable Failure = iota + 1
	// NoReplicas: too few replicas for the write; as Unavailable. Reads do not meet it.
	NoReplicas
	// OutOfMemory: nothing can be evicted for the write; client.ErrUnavailable at
	// once. Reads do not meet it.
	OutOfMemory
	// Ambiguous: the write is applied and the connection ends before its answer:
	// client.ErrAmbiguous. Reads do not meet it.
	Ambiguous
	// Dropped: the connection ends and nothing was applied: client.ErrAmbiguous for a
	// write all the same, a read is sent again.
	Dropped
)

// errOutOfMemory is what a node says.
const errOutOfMemory = redis.ReplyError("OOM command not allowed when used memory > 'maxmemory'.")

// fault is a failure that waits for its commands.
type fault struct {
	key   string // "" = any
	times int    // left; below 0 = until Heal
	what  Failure
	held  chan struct{} // of a Hold: closed when it ends
}

// Fail lets the next commands on a key ("" is any key) meet a failure: as many as
// times says, all until Heal when it is 0. Earlier failures of the key come first.
func (s *Server) Fail(key string, times int, what Failure) {
	if times == 0 {
		times = -1
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.faults = append(s.state.faults, &fault{key: key, times: times, what: what})
}

// Hold lets commands on a key ("" is any key) wait until release is called or
// Heal. Whoever comes behind on the same connection waits as well, as behind a node
// that hangs.
func (s *Server) Hold(key string) (release func()) {
	f := &fault{key: key, times: -1, held: make(chan struct{})}
	s.state.mu.Lock()
	s.state.faults = append(s.state.faults, f)
	s.state.mu.Unlock()
	return func() { s.state.drop(f) }
}

// Heal ends every failure and every Hold.
func (s *Server) Heal() {
	for f := s.state.first(); f != nil; f = s.state.first() {
		s.state.drop(f)
	}
}

func (s *state) first() *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return nil
	}
	return s.faults[0]
}

// drop ends a fault, once.
func (s *state) drop(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.faults, f); i >= 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
		if f.held != nil {
			close(f.held)
		}
	}
}

// meetLocked takes the failure that a command on the key meets, nil when it meets none.
func (s *state) meetLocked(key []byte, write bool) *fault {
	for i, f := range s.faults {
		if f.key != "" && f.key != string(key) || !write && f.what != 0 && f.what != Unavailable && f.what != Dropped {
			continue
		}
		if f.times > 0 {
			if f.times--; f.times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

// errEnds ends the connection.
var errEnds = errors.New("clienttest: the connection ends here")

// refusal is the error of a failure that is answered with a word.
func (f *fault) refusal() error {
	switch f.what {
	case Unavailable:
		return redis.ErrDown
	case NoReplicas:
		return redis.ErrNoReplicas
	case OutOfMemory:
		return errOutOfMemory
	}
	return nil
}

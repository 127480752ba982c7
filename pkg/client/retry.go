package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// When is a command sent again?
//
// Only when it provably was not applied, or changes nothing:
//
//   - it never left this process whole: the dial failed, or the connection broke
//     before its last byte was handed to the kernel (a node runs no half command);
//   - the node refused it before applying: MOVED, ASK, CLUSTERDOWN, NOREPLICAS,
//     LOADING, MASTERDOWN, TRYAGAIN, READONLY, DEADLINE;
//   - it only reads (kind.go).
//
// A SET or DEL of unknown outcome is never repeated, although both look idempotent;
// an INCRBY or APPEND does not even look so.
// The bytes of the first attempt may still lie in a node's socket or wait for its
// lease. If the repeat is applied and answered, the caller goes on and writes
// the key again, and only then the first attempt is applied, an older value has
// replaced a newer one that was acknowledged. And if another client wrote between
// the two, the repeat wipes out a write that came after the first attempt took
// effect: one Set would act twice. A value is comparable with what it replaces
// only by version, which plain commands do not carry; so the caller is told
// ErrAmbiguous and decides.
//
// Everything here is a function of what happened, the time and a random number.

// unsentError is a failure of a command that provably reached no node whole.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// brokenError is a failure of the connection, or the end of patience, after the
// command may have reached a node.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return "client: connection lost: " + e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// freeRedirects is how many redirects in a row are followed without a pause. A
// map one step behind needs one; more mean that nodes disagree.
const freeRedirects = 3

// callState is what the rules remember of one call.
type callState struct {
	op        opKind
	attempts  int // sendings so far
	redirects int // redirects in a row
	pauses    int // pauses so far
}

// step is what to do after a failed attempt: give up with err, or wait and try
// again, at addr when it is set.
type step struct {
	err     error
	pause   time.Duration
	addr    string
	ask     bool          // say ASKING first; this command only
	slot    shardmap.Slot // with moved
	moved   bool          // the slot's node is addr from now on
	refresh bool          // the map is worth asking for again

	// elsewhere: try a node other than the one asked. Its lease may have passed
	// on, and any node that lives knows to whom sooner than our map does; a shard
	// between two holders is waited for there, not here.
	elsewhere bool
}

// next decides after a failed attempt at the node asked. left is the time until
// the caller's deadline and rnd a random number in [0, 1).
func (p RetryPolicy) next(st *callState, err error, asked string, left time.Duration, rnd float64, take func() bool) step {
	var server *ServerError
	var broken *brokenError
	var unsent *unsentError
	switch {
	case errors.Is(err, ErrClosed) && !errors.As(err, &broken), refusedLogin(err):
		return step{err: err}
	case errors.As(err, &broken) && !st.op.repeatable() && !seeded("M17"):
		return step{err: because(ErrAmbiguous, err), refresh: true}
	case errors.As(err, &broken), errors.As(err, &unsent):
		st.redirects = 0
		s := p.pause(st, err, left, rnd, take)
		s.refresh, s.elsewhere = true, true
		return s
	case errors.As(err, &server):
		return p.refused(st, server, asked, left, rnd, take)
	}
	return step{err: err}
}

func (p RetryPolicy) refused(st *callState, e *ServerError, asked string, left time.Duration, rnd float64, take func() bool) step {
	if e.Code == "MOVED" || e.Code == "ASK" {
		slot, addr, ok := parseRedirect(e.Text, asked)
		if !ok {
			return step{err: e}
		}
		var s step
		if st.redirects++; st.redirects > freeRedirects {
			s = p.pause(st, e, left, rnd, take)
		}
		if s.err == nil {
			s.addr, s.slot = addr, slot
		}
		s.ask = e.Code == "ASK"
		s.moved = e.Code == "MOVED"
		s.refresh = s.moved
		return s
	}
	if !refusedUnapplied(e.Code) {
		return step{err: e}
	}
	st.redirects = 0
	s := p.pause(st, e, left, rnd, take)
	s.refresh = e.Code != "NOREPLICAS" && e.Code != "DEADLINE" // those come from the right node
	s.elsewhere = e.Code == "CLUSTERDOWN" || e.Code == "MASTERDOWN" || e.Code == "READONLY"
	return s
}

// refusedUnapplied lists the answers that say "not applied, and it may pass".
func refusedUnapplied(code string) bool {
	switch code {
	case "CLUSTERDOWN", "NOREPLICAS", "LOADING", "MASTERDOWN", "TRYAGAIN", "READONLY", "DEADLINE":
		return true
	}
	return false
}

// shortPauses is how many pauses come before they grow: a planned move is over after
// 5 to 15 ms, and a pause that had grown meanwhile would double it for the caller.
const shortPauses = 6

// pause is full jitter: a random part of a span that doubles up to Cap. An
// empty budget makes it at least half a Cap. The last pause is cut so
// that one attempt still fits before the deadline.
func (p RetryPolicy) pause(st *callState, why error, left time.Duration, rnd float64, take func() bool) step {
	if left < 2*time.Millisecond {
		return step{err: because(ErrUnavailable, why)}
	}
	span := p.Cap
	if n := max(0, st.pauses-shortPauses); n < 20 && p.Base<<n < p.Cap {
		span = p.Base << n
	}
	st.pauses++
	d := time.Duration(rnd * float64(span))
	if !take() {
		d = p.Cap/2 + time.Duration(rnd*float64(p.Cap/2))
	}
	return step{pause: min(d, left/2)}
}

// budget is the token bucket of all calls of a client.
type budget struct {
	tokens float64
	calls  uint64
	at     time.Duration
}

// budgetBurst is the most the bucket holds, and what it holds at first: the callers
// of one moment may all try until a planned move is over. It was 100, which a node
// that hands forty groups over used up before the last of them had moved.
const budgetBurst = 500

// take adds what calls and time earned since it was last asked and takes one.
func (b *budget) take(p RetryPolicy, calls uint64, now time.Duration) bool {
	earned := p.Ratio*float64(calls-b.calls) + p.PerSecond*(now-b.at).Seconds()
	b.tokens = min(budgetBurst, b.tokens+earned)
	b.calls, b.at = calls, now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// tooLarge says whether a refusal is about the size of this very command.
func tooLarge(e *ServerError) bool {
	text := strings.ToLower(e.Text)
	return e.Code == "OOM" && strings.Contains(text, "larger") || strings.Contains(text, "too large") ||
		strings.Contains(text, "invalid bulk length") || strings.Contains(text, "exceeds maximum allowed size")
}

// expired is the error of a call whose caller gave up (cause) after a last attempt
// that ended with err, nil when there was none.
func (st *callState) expired(err, cause error) error {
	var broken *brokenError
	switch {
	case errors.As(err, &broken) && !st.op.repeatable():
		return because(ErrAmbiguous, cause)
	case errors.Is(cause, context.Canceled) || err == nil || errors.Is(err, cause):
		if errors.Is(cause, context.Canceled) {
			return cause
		}
		return because(ErrUnavailable, cause)
	}
	return because(ErrUnavailable, &joined{cause, err})
}

// refusedLogin says that a handshake failed for a reason that dialing again
// does not mend: the password, or a setting the server does not know.
func refusedLogin(err error) bool {
	var unsent *unsentError
	var e *ServerError
	if !errors.As(err, &unsent) || !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "WRONGPASS", "NOAUTH", "NOPERM":
		return true
	case "ERR":
		return !strings.Contains(e.Text, "max number of clients")
	}
	return false
}

// redialPause is how long a node that refused is left alone: 10 ms, doubled up
// to 320 ms, of which a random half, so that clients do not come back together.
func redialPause(failures int, rnd float64) time.Duration {
	span := 10 * time.Millisecond << min(failures, 5)
	return span/2 + time.Duration(rnd*float64(span/2))
}

// refreshPause is the least time between two rounds of asking for the map when
// the last rounds brought nothing new: 20 ms, doubled up to 80 ms, of which a random
// half. Behind a leaseholder that hangs this is how long its groups seem down after
// another node serves them: calls to it cannot be sent elsewhere, as nobody knows
// what became of them. Doubling further cost up to half a second more than the lease.
func refreshPause(same int, rnd float64) time.Duration {
	span := 20 * time.Millisecond << min(same, 2)
	return span/2 + time.Duration(rnd*float64(span/2))
}

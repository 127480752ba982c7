package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Sentinels, for errors.Is. Every error of a call is an *OpError around one of them
// or around a *ServerError that none of them fits.
var (
	// ErrNotFound: the key does not exist. Only a leaseholder's own answer says so.
	ErrNotFound = errors.New("client: key not found")
	// ErrExists: the key exists already, and IfAbsent was asked for. Nothing was applied.
	ErrExists = errors.New("client: key exists")
	// ErrVersionMismatch: the key does not have the version that IfVersion or DeleteIf
	// named. Nothing was applied. errors.As with *VersionError gives the one it has.
	ErrVersionMismatch = errors.New("client: key has another version")
	// ErrAmbiguous: the write may have been applied, may be applied yet, or neither. An aegis
	// server does not apply it any more when the call's deadline has passed.
	ErrAmbiguous = errors.New("client: outcome of the write is unknown")
	// ErrLostWrites: writes that were answered with success were lost in a failover.
	// errors.As with *LostWritesError gives the bounds.
	ErrLostWrites = errors.New("client: acknowledged writes were lost")
	// ErrUnavailable: nobody could serve the key before the deadline. Nothing was applied.
	ErrUnavailable = errors.New("client: unavailable")
	// ErrTooLarge: the key or the value is larger than the client or the server takes.
	// Nothing was applied.
	ErrTooLarge = errors.New("client: key or value too large")
	// ErrOverloaded: the client's connection to the node had no room before the deadline
	// (Config.MaxInflight, Config.MaxQueueBytes), or the node has no memory or no
	// connection left. Nothing was applied; less load helps, repeating at once does not.
	ErrOverloaded = errors.New("client: overloaded")
	// ErrUnsupported: the server does not know what the call needs, for example versions.
	ErrUnsupported = errors.New("client: the server does not know this")
	// ErrTimeout is the end of a call's time: context.DeadlineExceeded itself, for calls
	// that ended by Config.Timeout too.
	ErrTimeout = context.DeadlineExceeded
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client: closed")
	// ErrConfig: the configuration was refused. New says it, and so does every call of the
	// client that New returned beside it.
	ErrConfig = errors.New("client: bad configuration")
)

// OpError is the error of one call.
type OpError struct {
	Op       string        // the command's first word: "GET", "SET", "DEL", ...
	Key      string        // the caller's key
	Node     string        // the address last asked, "" when none was reached
	Attempts int           // how many times a node was tried
	Elapsed  time.Duration // from the call to its end
	Err      error         // the cause; errors.Is and errors.As look through it
}

// Error is one line for a log.
func (e *OpError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q", e.Op, shorten(e.Key))
	if e.Node != "" {
		fmt.Fprintf(&b, " at %s", e.Node)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts, %v)", e.Attempts, e.Elapsed.Round(time.Millisecond))
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Applied is false when the call provably changed nothing.
func (e *OpError) Applied() bool { return errors.Is(e.Err, ErrAmbiguous) }

// ServerError is an error answer of a node, as it came.
type ServerError struct {
	Code string // first word: "MOVED", "CLUSTERDOWN", "ERR", ...
	Text string // the whole line
}

// Error is the server's own line.
func (e *ServerError) Error() string { return e.Text }

// Is maps the server's words to the sentinels.
func (e *ServerError) Is(target error) bool {
	switch target {
	case ErrTooLarge:
		return tooLarge(e)
	case ErrUnavailable:
		return refusedUnapplied(e.Code) || e.Code == "OOM" && !tooLarge(e)
	case ErrOverloaded:
		return e.Code == "OOM" && !tooLarge(e) || strings.Contains(e.Text, "max number of clients")
	case ErrUnsupported:
		return e.Code == "ERR" && strings.HasPrefix(e.Text, "ERR unknown ")
	}
	return false
}

// VersionError says which version the key has instead of the expected one.
type VersionError struct {
	Current shardmap.Version // 0: there is no such key
}

// Error is one line for a log.
func (e *VersionError) Error() string {
	if e.Current == 0 {
		return "client: key has another version: there is no such key"
	}
	return fmt.Sprintf("client: key has another version: %v", e.Current)
}

// Is makes errors.Is(err, ErrVersionMismatch) true.
func (e *VersionError) Is(target error) bool { return target == ErrVersionMismatch }

// plainVersion turns the answer "VERSION <current>" into the error it means.
func plainVersion(err error) error {
	e, ok := err.(*ServerError)
	if !ok || e.Code != "VERSION" {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(e.Text[len("VERSION"):]), 10, 64)
	if err != nil {
		return e
	}
	return &VersionError{shardmap.Version(n)}
}

// LostWritesError says which acknowledged writes of this client are gone: those to
// one shard with versions above After and up to Last, as far as no later write has
// replaced them. Last itself is lost; After is the newest version this client saw
// confirmed durable, 0 when it saw none.
type LostWritesError struct {
	Shard       shardmap.ShardID
	After, Last shardmap.Version
}

// Error is one line for a log.
func (e *LostWritesError) Error() string {
	return fmt.Sprintf("client: acknowledged writes to shard %d were lost: versions above %v up to %v", e.Shard, e.After, e.Last)
}

// Is makes errors.Is(err, ErrLostWrites) true.
func (e *LostWritesError) Is(target error) bool { return target == ErrLostWrites }

// joined is a cause with a second face, for errors.Is: ErrAmbiguous because of a
// deadline, ErrUnavailable because of a CLUSTERDOWN. Unlike errors.Join it prints one line.
type joined struct{ is, why error }

func (j *joined) Error() string   { return j.is.Error() + ": " + j.why.Error() }
func (j *joined) Unwrap() []error { return []error{j.is, j.why} }

func because(is, why error) error {
	if why == nil || errors.Is(why, is) {
		return orElse(why, is)
	}
	return &joined{is, why}
}

func orElse(err, other error) error {
	if err == nil {
		return other
	}
	return err
}

// errTimeout is the end of a call without a context deadline after Config.Timeout.
var errTimeout = fmt.Errorf("client: no answer within Config.Timeout: %w", context.DeadlineExceeded)

func shorten(key string) string {
	if len(key) <= 64 {
		return key
	}
	return key[:61] + "..."
}

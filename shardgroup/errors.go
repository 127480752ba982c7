package shardgroup

import "errors"

// Errors of Get and Do. Each has one meaning; nothing was changed when one is
// returned, except where said.
var (
	// ErrMoved: another node holds the lease; Admission.Holder says which.
	ErrMoved = errors.New("shardgroup: another node holds this shard")
	// ErrParked: the shard is in transition. Retry when Out.Wake names the group or
	// Replica.WakeSeq differs from Admission.Wake, until the caller's own deadline.
	ErrParked = errors.New("shardgroup: shard is in transition")
	// ErrDelayed: the tail bound is reached. Retry like ErrParked, for at most
	// Config.DelayMax, and then answer ErrNoReplicas.
	ErrDelayed = errors.New("shardgroup: too much is not replicated yet")
	// ErrNoReplicas: fewer seats than the write asks for, or the tail bound lasted.
	ErrNoReplicas = errors.New("shardgroup: not enough replicas")
	// ErrOOM: the write does not fit and nothing can be evicted for it.
	ErrOOM = errors.New("shardgroup: over memory and nothing left to evict")
	// ErrLoading: a takeover is collecting what survived and takes longer than usual.
	ErrLoading = errors.New("shardgroup: data is being recovered")
	// ErrUnavailable: this node has no replica of the shard that could ever serve it.
	ErrUnavailable = errors.New("shardgroup: no replica of this shard here")
	// ErrFrame: bytes from a peer cannot be read; its connection should be closed.
	ErrFrame = errors.New("shardgroup: frame is damaged")
	// ErrBusy: the call cannot be done in this state; ask again later.
	ErrBusy = errors.New("shardgroup: not possible in this state")
)

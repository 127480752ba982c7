package fault

import "time"

// Order is what the suite tells a node: the whole of what is wrong from now on.
type Order struct {
	WallMS int64         `json:"wallMs,omitempty"` // that the wall clock is ahead
	PPM    int64         `json:"ppm,omitempty"`    // that clocks of durations go too fast
	Stall  time.Duration `json:"stallNs,omitempty"`
	Hangs  bool          `json:"hangs,omitempty"` // no sync comes to its end, until another order
	// Fails is what the log's disk refuses: "" nothing, "sync" (EIO), "lost" (EIO as well, and
	// what was to be made durable is gone although later writes succeed), "write" (ENOSPC).
	Fails string `json:"fails,omitempty"`
	Holds bool   `json:"holds,omitempty"` // what is not synced stays in memory: a kill is a loss of power
}

// State is what a node answers: how far its clocks are ahead by now, and what was seen.
type State struct {
	Skew    time.Duration `json:"skewNs"`
	Stalled int64         `json:"stalled"` // writes and syncs that waited
	Hung    int64         `json:"hung"`    // syncs that stood still
	Failed  int64         `json:"failed"`
	Held    int64         `json:"held"` // bytes that are in memory only now
	Syncs   int64         `json:"syncs"`
	// WrongReads is how often somebody read a wall clock that was ahead or behind.
	WrongReads int64 `json:"wrongReads"`
}

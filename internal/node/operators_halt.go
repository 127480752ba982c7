package node

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// HaltReport is the answer to rebalance-cancel and rebalance-resume.
type HaltReport struct {
	Halted  bool `json:"halted"`
	Changed bool `json:"changed"` // false: it was so before
}

// Halt lets rebalancing rest or go on, whichever node is asked.
func (n *Node) Halt(on bool) (json.RawMessage, error) {
	if n.redis.Loading() {
		return nil, errors.New(n.reading())
	}
	ctx, cancel := context.WithTimeout(context.Background(), operateMax)
	defer cancel()
	a, err := n.decide(ctx, func(now multiraft.Instant, done func(Answer)) { n.core.Halt(on, now, done) })
	if err != nil {
		return nil, err
	}
	var taken intentTaken
	if err := json.Unmarshal(a.Body, &taken); err != nil {
		return nil, err
	}
	return json.Marshal(HaltReport{on, taken.Changed})
}

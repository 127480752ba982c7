package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	// operateMax bounds an operators' command; the tool waits a little longer.
	operateMax = 4500 * time.Millisecond
	// holderAgain is between the tries of one whose holder was not where the map said.
	holderAgain = 50 * time.Millisecond
	// hearsCopies is how long a new holder may take to hear from the copies of others.
	hearsCopies = time.Second
)

// operate runs an operator's words and answers JSON.
func (n *Node) operate(words []string) (json.RawMessage, error) {
	switch word := strings.ToLower(words[0]); {
	case word == "status":
		r, err := n.Status(statusMax)
		if err != nil {
			return nil, err
		}
		return json.Marshal(r)
	case word == "digest":
		return json.Marshal(n.Digests())
	case word == "lineage":
		return json.Marshal(n.Lineage())
	case word == "failover" && len(words) == 2:
		return n.Failover(words[1])
	case word == "lease" && len(words) == 4 && strings.EqualFold(words[1], "transfer"):
		return n.TransferLease(words[2], words[3])
	case word == "recover":
		return n.Recover(words[1:])
	case word == "rebalance" && len(words) <= 2:
		return n.Rebalance(strings.Join(words[1:], ""))
	case word == "rebalance-cancel" && len(words) == 1:
		return n.Halt(true)
	case word == "rebalance-resume" && len(words) == 1:
		return n.Halt(false)
	case len(words) == 2:
		if to, known := intents[word]; known {
			return n.SetIntent(words[1], to)
		}
	}
	return nil, fmt.Errorf("unknown operators' command %q: status, digest, lineage, backup, failover NODE, lease transfer GROUP NODE, drain NODE, undrain NODE, decommission NODE, recover NODE... [accept-data-loss], rebalance [NODE], rebalance-cancel, rebalance-resume", strings.Join(words, " "))
}

// Failover has a node hand all of its leases over, whichever node is asked.
func (n *Node) Failover(name string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), operateMax)
	defer cancel()
	row, err := n.rowOf(ctx, name)
	if err != nil {
		return nil, err
	}
	a := n.ask(ctx, func() shardmap.NodeID { return row.ID }, "failover", nil)
	return a.result(row.Name, operateMax)
}

// TransferLease has the holder of a group hand it to a node, whichever node is asked.
func (n *Node) TransferLease(group, name string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), operateMax)
	defer cancel()
	row, err := n.rowOf(ctx, name)
	if err != nil {
		return nil, err
	}
	groups := n.routes.Load().Layout().Groups
	g, err := strconv.ParseUint(group, 10, 16)
	if err != nil || int(g) > groups {
		return nil, fmt.Errorf("there is no group %q: groups are 0 to %d", group, groups)
	}
	body := answerOf(transferQuestion{shardmap.GroupID(g), row.ID}).Body
	for begun := time.Now(); ; {
		holder := n.holderOf(shardmap.GroupID(g))
		if holder != 0 {
			a := n.ask(ctx, func() shardmap.NodeID { return holder }, "transfer", body)
			young := strings.Contains(a.Err, noCopy) && time.Since(begun) < hearsCopies
			if !young && !strings.Contains(a.Err, notHolder) && !strings.Contains(a.Err, tookIt) {
				return a.result(fmt.Sprint("the holder of group ", g), operateMax)
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody holds group %d: `aegis status` shows who is missing", g)
		case <-time.After(holderAgain):
		}
	}
}

// result is what a node answered, or what kept it from that in a sentence; after is how
// long it was waited for.
func (a Answer) result(who string, after time.Duration) (json.RawMessage, error) {
	switch a.Err {
	case "":
		return a.Body, nil
	case errLate:
		return nil, fmt.Errorf("%s did not answer within %v: see `aegis status`", who, after)
	}
	return nil, errors.New(a.Err)
}

// holderOf is who holds a group as far as is known here, 0 unknown.
func (n *Node) holderOf(g shardmap.GroupID) (holder shardmap.NodeID) {
	if g != shardmap.MetaGroup {
		return n.routes.Load().Route(g).Leader
	}
	got := make(chan shardmap.NodeID, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if n.host.Do(ctx, func(multiraft.Instant) { got <- n.core.MetaLeader() }) == nil {
		holder = <-got
	}
	return holder
}

// errNoSuchNode is behind the refusal of a name that no node has.
var errNoSuchNode = errors.New("no such node")

// rowOf finds a node by its name, number or address.
func (n *Node) rowOf(ctx context.Context, name string) (row meta.Node, err error) {
	if n.redis.Loading() {
		return row, errors.New("this node is reading its write-ahead log: ask another one")
	}
	var rows []meta.Node
	if err := n.host.Do(ctx, func(multiraft.Instant) {
		if m := n.core.Meta(); m != nil {
			rows = append(rows, m.Nodes...)
		}
	}); err != nil {
		return row, fmt.Errorf("the node is too busy to answer: %w", err)
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		if r.Name == name {
			return r, nil // before the number of another one
		}
		names[i] = r.Name
	}
	for _, r := range rows {
		if namedBy(r, name) {
			return r, nil
		}
	}
	return row, noSuchNode(name, names)
}

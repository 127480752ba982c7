package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// acceptDataLoss is the word without which a recovery only says what it would do.
const acceptDataLoss = "accept-data-loss"

// recoverMax is how long all questions of a recovery may take together.
const recoverMax = 4*recoverWait + tellWait + time.Second/2

// goneWait is how long a node that is declared gone has to show that it is not.
const goneWait = time.Second

// Recover goes on without nodes that operators declare gone for good, or says what would
// happen then. words are their names, and acceptDataLoss at the end.
func (n *Node) Recover(words []string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), goneWait+recoverMax)
	defer cancel()
	var o recoverOrder
	if len(words) > 0 && strings.EqualFold(words[len(words)-1], acceptDataLoss) {
		words, o.Accept = words[:len(words)-1], true
	}
	if !n.filled(ctx) {
		return nil, errors.New(errUnfilled)
	}
	var rows []meta.Node
	for _, w := range words {
		row, err := n.rowOf(ctx, w)
		if errors.Is(err, errNoSuchNode) {
			if id := n.forsaken(ctx, w); id != 0 {
				row, err = meta.Node{ID: id}, nil
			}
		}
		switch {
		case err != nil:
			return nil, err
		case slices.Contains(o.Gone, row.ID):
			return nil, fmt.Errorf("%s is named twice", w)
		}
		rows, o.Gone = append(rows, row), append(o.Gone, row.ID)
	}
	if who := n.answering(ctx, rows); who != "" {
		return nil, fmt.Errorf("%s: a node is declared gone only when it is; if nobody is to have it any more, stop it for good first", who)
	}
	a := n.ask(ctx, func() shardmap.NodeID { return n.self }, "recover", answerOf(o).Body)
	return a.result(n.cfg.ID, recoverMax)
}

// filled reports whether group 0 has told this node anything.
func (n *Node) filled(ctx context.Context) (yes bool) {
	err := n.host.Do(ctx, func(multiraft.Instant) { yes = n.core.Meta() != nil })
	return err == nil && yes
}

// forsaken finds a node that an earlier recovery declared gone: its word may have to be
// said again, where not everybody had gone on.
func (n *Node) forsaken(ctx context.Context, name string) (id shardmap.NodeID) {
	_ = n.host.Do(ctx, func(multiraft.Instant) {
		if n.core.Meta() == nil {
			return
		}
		for _, r := range n.core.Meta().Recoveries {
			for _, f := range r.Nodes {
				if f.Name == name {
					id = f.ID
				}
			}
		}
	})
	return id
}

// answering asks the nodes themselves, at the addresses where they were last; "" when
// none of them answers. Heartbeats go other ways: a node that runs and is cut off from
// those may still be reached here.
func (n *Node) answering(ctx context.Context, rows []meta.Node) (who string) {
	ctx, cancel := context.WithTimeout(ctx, goneWait)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	for _, row := range rows {
		if row.Addresses.Gossip == "" || row.ID == n.self {
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			rep, err := membership.Ask(ctx, row.Addresses.Gossip, q, n.secret)
			if err == nil && rep.UUID == row.UUID {
				mu.Lock()
				defer mu.Unlock()
				who = fmt.Sprintf("%s runs: it answers at %s", row.Name, row.Addresses.Gossip)
			}
		}()
	}
	wg.Wait()
	return who
}

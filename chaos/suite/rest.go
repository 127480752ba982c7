package suite

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

const (
	// verdictsAtOnce are judged by one AEGIS.CHECK: a token names no more than there are shards.
	verdictsAtOnce = 64
	// durableMax is for how long a version may stay pending at rest.
	durableMax = 5 * time.Second
	// verdictMax is how long a node may take to judge one token.
	verdictMax = 5 * time.Second
)

// verdicts asks every node what became of each version that a client was told of a write.
func (r *run) verdicts(told []chaos.Told) (all []chaos.AtRest) {
	var asked []chaos.AtRest
	for i := range told {
		if o := &told[i]; o.Outcome == chaos.OK && o.Kind != chaos.Read && o.Version != 0 {
			asked = append(asked, chaos.AtRest{Shard: r.layout.ShardOf(shardmap.SlotOfString(o.Key)), Version: o.Version})
		}
	}
	var err error
	for i := range r.c.Nodes {
		if r.belongs(i) && len(asked) > 0 {
			list, e := r.judgedAt(i, asked)
			all, err = append(all, list...), errors.Join(err, e)
		}
	}
	unheard := asked // of which no holder has said a word
	for end := time.Now().Add(durableMax); err == nil && len(unheard) > 0; time.Sleep(20 * time.Millisecond) {
		var said []chaos.AtRest
		if said, unheard, err = r.judgedByHolders(unheard); err == nil && time.Now().After(end) {
			for i := range unheard { // leases have had time to stay where they are
				unheard[i].Holds = true
			}
			all, unheard = append(all, unheard...), nil
		}
		all = append(all, said...)
	}
	if err != nil {
		r.vague = append(r.vague, "nodes could not be asked what became of writes: "+err.Error())
	}
	return all
}

// judgedAt is what the node at a place says of versions, whether it serves them or not.
func (r *run) judgedAt(node int, asked []chaos.AtRest) ([]chaos.AtRest, error) {
	list := slices.Clone(asked)
	for k := range list {
		list[k].Node = cluster.Numbered(node)
	}
	n := r.c.Nodes[node]
	if err := judgedBy(n.Direct(), list); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	return list, nil
}

// judgedByHolders asks of each version the node that serves it now. Leases move at rest,
// too: what a node does not know that may have ceased to serve is asked again.
func (r *run) judgedByHolders(asked []chaos.AtRest) (said, unheard []chaos.AtRest, err error) {
	holders, err := r.c.Holders()
	if err != nil {
		return nil, nil, err
	}
	by := map[int][]chaos.AtRest{}
	for _, v := range asked {
		h := holders[r.layout.GroupOf(v.Shard)]
		by[h] = append(by[h], v)
	}
	for h, list := range by {
		if h >= 0 {
			if list, err = r.judgedAt(h, list); err != nil {
				return nil, nil, err
			}
		}
		for _, v := range list {
			if v.Holds = h >= 0 && v.Word != chaos.VerdictUnknown; v.Holds {
				said = append(said, v)
			} else {
				unheard = append(unheard, v)
			}
		}
	}
	return said, unheard, nil
}

// judgedBy fills in what a node says of versions. What is pending is asked again: at rest
// followers hold it soon.
func judgedBy(addr string, list []chaos.AtRest) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	do := func(words ...string) (resp.Reply, error) {
		_ = c.SetDeadline(time.Now().Add(verdictMax))
		if _, err := c.Write(resp.AppendCommand(nil, words...)); err != nil {
			return resp.Reply{}, err
		}
		a, err := resp.ReadReply(in)
		if err == nil && a.IsError() {
			err = errors.New(string(a.Text))
		}
		return a, err
	}
	head, err := do("AEGIS.TOKEN")
	if err != nil {
		return err
	}
	prefix := string(head.Text[:strings.LastIndexByte(string(head.Text), ':')+1])
	for end := time.Now().Add(durableMax); len(list) > 0; {
		part := list[:min(verdictsAtOnce, len(list))]
		marks := make([]string, len(part))
		for i, v := range part {
			marks[i] = fmt.Sprintf("%d.%d", v.Shard, uint64(v.Version))
		}
		a, err := do("AEGIS.CHECK", prefix+strings.Join(marks, ","))
		if err != nil {
			return err
		}
		if len(a.Items) != len(part) {
			return fmt.Errorf("%d verdicts on %d versions", len(a.Items), len(part))
		}
		pending := false
		for i := range part {
			row := a.Items[i].Items
			if part[i].Word, err = verdictOf(row); err != nil {
				return err
			}
			pending = pending || part[i].Word == chaos.VerdictPending
		}
		if pending && time.Now().Before(end) {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		list = list[len(part):]
	}
	return nil
}

// verdictOf reads a row of AEGIS.CHECK: shard, version, word.
func verdictOf(row []resp.Reply) (chaos.Verdict, error) {
	if len(row) >= 3 {
		for v := chaos.VerdictUnknown; v <= chaos.VerdictDurable; v++ {
			if v.String() == string(row[2].Text) {
				return v, nil
			}
		}
	}
	return 0, fmt.Errorf("%d fields are no verdict", len(row))
}

package client

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// mark is what one node says of one shard's newest write in a token.
type mark struct {
	shard   shardmap.ShardID
	version shardmap.Version
	word    verdict
}

// verdict is what became of a version, weakest word first: where nodes differ the
// stronger word counts. Anyone may say "lost", which is final; "durable" comes
// from a leaseholder only.
type verdict uint8

const (
	verdictUnknown verdict = iota
	verdictPending
	verdictDurable
	verdictLost
)

var verdictWords = map[string]verdict{
	"unknown": verdictUnknown, "pending": verdictPending, "durable": verdictDurable, "lost": verdictLost,
}

// parseVerdicts reads the answer to AEGIS.CHECK: rows of shard, version, word.
func parseVerdicts(r resp.Reply) ([]mark, bool) {
	if r.Kind != '*' {
		return nil, false
	}
	marks := make([]mark, 0, len(r.Items))
	for _, row := range r.Items {
		if row.Kind != '*' || len(row.Items) != 3 || row.Items[0].Kind != ':' || row.Items[1].Kind != ':' {
			return nil, false
		}
		shard, version := row.Items[0].Int, row.Items[1].Int
		word, ok := verdictWords[string(row.Items[2].Text)]
		if !ok || shard < 0 || shard >= shardmap.Slots || version < 0 {
			return nil, false
		}
		marks = append(marks, mark{shardmap.ShardID(shard), shardmap.Version(version), word})
	}
	return marks, true
}

// merged is one mark per shard and version, in order, with the strongest word said.
func merged(marks []mark) []mark {
	slices.SortFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.version, b.version), cmp.Compare(b.word, a.word))
	})
	return slices.CompactFunc(marks, func(a, b mark) bool { return a.shard == b.shard && a.version == b.version })
}

// ledger is what the client knows of the fate of its writes, shard by shard.
type ledger struct {
	durable map[shardmap.ShardID]shardmap.Version // highest version seen durable
	told    map[shardmap.ShardID]shardmap.Version // highest version reported lost
}

func newLedger() *ledger {
	return &ledger{map[shardmap.ShardID]shardmap.Version{}, map[shardmap.ShardID]shardmap.Version{}}
}

// judge takes merged marks and gives the losses not told before. A shard's writes survive as a prefix, so what was lost lies above the
// highest version seen durable and ends with the version judged.
func (l *ledger) judge(marks []mark) (lost []*LostWritesError) {
	for _, m := range marks {
		switch m.word {
		case verdictDurable:
			l.durable[m.shard] = max(l.durable[m.shard], m.version)
		case verdictLost:
			if m.version > l.told[m.shard] {
				after := l.durable[m.shard]
				if after >= m.version {
					after = 0 // seen durable, lost all the same: an unclean opening; no bound below
				}
				l.told[m.shard] = m.version
				lost = append(lost, &LostWritesError{Shard: m.shard, After: after, Last: m.version})
			}
		}
	}
	return lost
}

// parseLayout reads how many shards there are from the answer to CONFIG GET.
func parseLayout(r resp.Reply) (shardmap.Layout, bool) {
	for i := 0; i+1 < len(r.Items); i += 2 {
		name := strings.ToLower(strings.ReplaceAll(string(r.Items[i].Text), "-", ""))
		n, err := strconv.Atoi(string(r.Items[i+1].Text))
		layout := shardmap.Layout{Shards: n, Groups: 1}
		if name == "numshards" && err == nil && layout.Validate() == nil {
			return layout, true
		}
	}
	return shardmap.Layout{}, false
}

package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestVerdictsAtRest: what honest nodes say at rest is accepted, and one wrong word of a
// thousand is not.
func TestVerdictsAtRest(t *testing.T) {
	said := func(seed uint64) (told []Told, cuts []Cut, all []AtRest) {
		told, cuts = tell(seed, 0)
		for i := range told {
			o := &told[i]
			if o.Outcome != OK || !o.writes() || o.Version == 0 {
				continue
			}
			id := trialLayout.ShardOf(shardmap.SlotOfString(o.Key))
			lost := slices.ContainsFunc(cuts, func(c Cut) bool { return c.Shard == id && lostBy(&c, o.Version) })
			holder, other := AtRest{id, o.Version, 1, true, VerdictDurable}, AtRest{id, o.Version, 2, false, VerdictUnknown}
			if lost {
				holder.Word, other.Word = VerdictLost, VerdictLost
			}
			all = append(all, holder, other)
		}
		return told, cuts, all
	}
	judge := func(told []Told, cuts []Cut, all []AtRest) string {
		h, tr := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall, Verdicts: all}, told, cuts)
		if tr.verdicts != len(all) {
			t.Errorf("%d of %d verdicts were judged", tr.verdicts, len(all))
		}
		return strings.Join(h.Broken, "\n")
	}
	told, cuts, all := said(1)
	if b := judge(told, cuts, all); b != "" {
		t.Fatalf("honest nodes: %s", b)
	}
	for name, wrong := range map[string]struct {
		holds bool
		is    Verdict
		says  Verdict
	}{
		"lost of what is there":                 {true, VerdictDurable, VerdictLost},
		"durable of what is lost":               {true, VerdictLost, VerdictDurable},
		"a holder does not know":                {true, VerdictDurable, VerdictUnknown},
		"pending for ever":                      {true, VerdictDurable, VerdictPending},
		"another node says lost of what stands": {false, VerdictUnknown, VerdictLost},
		"another node says pending of the lost": {false, VerdictLost, VerdictPending},
	} {
		_, _, bad := said(1)
		i := slices.IndexFunc(bad, func(v AtRest) bool { return v.Holds == wrong.holds && v.Word == wrong.is })
		if i < 0 {
			t.Fatalf("%s: nobody says %v", name, wrong.is)
		}
		bad[i].Word = wrong.says
		if b := judge(told, cuts, bad); !strings.HasPrefix(b, "token: ") {
			t.Errorf("%s: %q", name, b)
		}
	}
}

// TestVerdictsOnGuessesSayNothing: of a shard with an Open that nobody told of, no verdict
// is judged.
func TestVerdictsOnGuessesSayNothing(t *testing.T) {
	told, cuts := tell(1, 0)
	id := cuts[len(cuts)-1].Shard
	last := cuts[len(cuts)-1].Epoch
	cuts = cuts[:len(cuts)-1]
	v := shardmap.MakeVersion(1, 1)
	_, tr := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall, Verdicts: []AtRest{{id, v, 1, true, VerdictUnknown}}}, told, cuts)
	if written := slices.ContainsFunc(told, func(o Told) bool {
		return o.Version.Epoch() == last && trialLayout.ShardOf(shardmap.SlotOfString(o.Key)) == id
	}); written && tr.verdicts != 0 {
		t.Errorf("%d verdicts were judged", tr.verdicts)
	}
}

package membership

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestARosterTellsTheNewestStartThatIsAlive walks through what memberlist may say of
// a node's names, and what the core hears then.
func TestARosterTellsTheNewestStartThatIsAlive(t *testing.T) {
	start := func(inc uint64) Meta { return Meta{Node: 3, Incarnation: inc} }
	draining := start(2)
	draining.Draining = true
	for name, c := range map[string]struct {
		steps []func(*roster)
		want  string
	}{
		"it is there":           {[]func(*roster){alive(start(1))}, "1 alive"},
		"it died":               {[]func(*roster){alive(start(1)), gone("3.1")}, "1 dead"},
		"it came back":          {[]func(*roster){alive(start(1)), gone("3.1"), alive(start(2))}, "2 alive"},
		"before the old died":   {[]func(*roster){alive(start(1)), alive(start(2)), gone("3.1")}, "2 alive"},
		"the old comes late":    {[]func(*roster){alive(start(2)), alive(start(1))}, "2 alive"},
		"only the old is there": {[]func(*roster){alive(start(1)), alive(start(2)), gone("3.2")}, "1 alive"},
		"both died":             {[]func(*roster){alive(start(1)), alive(start(2)), gone("3.1"), gone("3.2")}, "2 dead"},
		"it left":               {[]func(*roster){alive(draining), gone("3.2")}, "2 left"},
		"it says so directly":   {[]func(*roster){alive(start(2)), said(draining), gone("3.2")}, "2 left"},
		"it says so too late":   {[]func(*roster){alive(start(2)), gone("3.2"), said(draining)}, "2 left"},
		"a stranger says so":    {[]func(*roster){said(draining)}, "0 unknown"},
		"nobody knows it now":   {[]func(*roster){alive(start(2)), (*roster).forget}, "2 suspect"},
		"it is met again":       {[]func(*roster){alive(start(2)), (*roster).forget, alive(start(2))}, "2 alive"},
	} {
		r := newRoster()
		var told Member
		for _, step := range c.steps {
			step(r)
			if !r.tell(func(m Member) bool { told = m; return true }) {
				t.Fatal("a hint was refused")
			}
		}
		if got := fmt.Sprint(told.Incarnation, " ", told.State); got != c.want {
			t.Errorf("%s: told %s, want %s", name, got, c.want)
		}
		if r.here(3) != (told.State == Alive) {
			t.Errorf("%s: it is here: %v", name, r.here(3))
		}
	}
}

func alive(m Meta) func(*roster)     { return func(r *roster) { r.alive(m, memberlist.Address{}) } }
func gone(name string) func(*roster) { return func(r *roster) { r.gone(name) } }
func said(m Meta) func(*roster)      { return func(r *roster) { r.said(m) } }

func TestARosterRepeatsWhatWasRefusedAndNothingElse(t *testing.T) {
	r := newRoster()
	var told []string
	room := false
	take := func(m Member) bool {
		told = append(told, fmt.Sprint(m.Node, m.State))
		return room
	}
	r.alive(Meta{Node: 3, Incarnation: 1}, memberlist.Address{})
	if r.tell(take) {
		t.Error("a refused hint counts as told")
	}
	r.gone("3.1")
	room = true
	if !r.tell(take) {
		t.Error("a hint is refused though there is room")
	}
	r.tell(take) // nothing is due
	r.repeat()
	r.tell(take)
	r.gone("3.1")
	r.gone("9.9")
	r.tell(take)
	if want := []string{"3 alive", "3 dead", "3 dead"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestARosterIsBounded(t *testing.T) {
	r := newRoster()
	for i := range membersMax {
		m := Meta{Node: shardmap.NodeID(i + 1), Incarnation: 1}
		if !r.room(memberName(m)) {
			t.Fatalf("no room for the %dth name", i+1)
		}
		r.alive(m, memberlist.Address{})
	}
	if r.room("new.1") || !r.room("1.1") {
		t.Error("a full roster takes a name in, or does not know its own")
	}
	r.gone("1.1")
	r.gone("2.1")
	if !r.room("new.1") {
		t.Error("the dead keep their places")
	}
	if len(r.names) != membersMax-2 {
		t.Errorf("%d names", len(r.names))
	}
}

package membership

import (
	"errors"
	"strings"
	"testing"
)

func TestABlankNodeDecides(t *testing.T) {
	id := func(b byte) (u [16]byte) { u[0] = b; return u }
	seeds := []string{"a:1", "b:1", "c:1"}
	self := Question{UUID: id(2), Seeds: seeds, Expect: 3}
	blank := func(n byte, addr string) Heard {
		return Heard{Addr: addr, Reply: Reply{UUID: id(n), Seeds: seeds, Expect: 3}}
	}
	down := Heard{Addr: "c:1", Err: errors.New("refused")}
	member := Heard{Addr: "c:1", Reply: Reply{UUID: id(9), Cluster: id(7)}}
	record := Heard{Addr: "b:1", Reply: Reply{UUID: id(8), Cluster: id(7), Founding: true}}
	other := Heard{Addr: "c:1", Reply: Reply{UUID: id(9), Seeds: []string{"x:1"}}}
	for name, c := range map[string]struct {
		self  Question
		heard []Heard
		want  Choice
	}{
		"no seeds":                        {Question{UUID: id(2), Expect: 1}, nil, FoundAlone},
		"only itself":                     {Question{UUID: id(2), Expect: 1}, []Heard{blank(2, "a:1")}, FoundAlone},
		"a member among the seeds":        {self, []Heard{blank(1, "a:1"), member}, JoinVia},
		"a member and one down":           {self, []Heard{{Addr: "a:1", Err: down.Err}, member}, JoinVia},
		"one seed down":                   {self, []Heard{blank(1, "a:1"), down}, Wait},
		"the seed is not up yet":          {self, []Heard{down}, Wait},
		"another list":                    {self, []Heard{blank(1, "a:1"), other}, Wait},
		"all blank, smallest uuid":        {self, []Heard{blank(3, "a:1"), blank(2, "b:1"), blank(4, "c:1")}, Lead},
		"all blank, another is smaller":   {self, []Heard{blank(1, "a:1"), blank(4, "c:1")}, Follow},
		"fewer than expected":             {self, []Heard{blank(3, "a:1")}, Wait},
		"a founding record names it":      {self, []Heard{blank(1, "a:1"), record}, Adopt},
		"one seed under two names":        {self, []Heard{blank(3, "a:1"), blank(3, "b:1")}, Wait},
		"expects more than it could know": {Question{UUID: id(2), Expect: 3}, []Heard{blank(2, "a:1")}, Wait},
	} {
		if got := Decide(c.self, c.heard); got.Choice != c.want {
			t.Errorf("%s: choice %d (%s), want %d", name, got.Choice, got.Reason, c.want)
		}
	}
	locked := Decide(self, []Heard{{Addr: "c:1", Err: ErrSecret}})
	if locked.Choice != Wait || !strings.HasPrefix(locked.Reason, "seed c:1: ") || !strings.Contains(locked.Reason, "--cluster-secret-file") {
		t.Errorf("a seed with another secret: %+v", locked)
	}
}

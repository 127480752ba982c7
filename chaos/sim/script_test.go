package sim

import (
	"testing"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

func TestScripts(t *testing.T) {
	for _, sc := range Scripts() {
		t.Run(sc.Name, func(t *testing.T) {
			r := RunScript(sc)
			for _, b := range r.Broken {
				t.Error(b)
			}
			if t.Failed() {
				for _, l := range r.Log {
					t.Log(l)
				}
			}
		})
	}
}

func TestEverySeededBugHasItsScript(t *testing.T) {
	for _, b := range mutant.Bugs {
		if b.Script == "" {
			continue
		}
		if _, ok := ScriptNamed(b.Script); !ok {
			t.Errorf("%s: no script %q", b.Name, b.Script)
		}
	}
}

func TestTheSameScriptGivesTheSameRun(t *testing.T) {
	sc, _ := ScriptNamed("divergent suffix")
	if a, b := RunScript(sc), RunScript(sc); a.Hash != b.Hash || a.Events != b.Events {
		t.Fatalf("hash %x after %d events, then %x after %d", a.Hash, a.Events, b.Hash, b.Events)
	}
}

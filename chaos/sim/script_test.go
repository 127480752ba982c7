package sim

import "testing"

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

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/baxromumarov/aegisKV/chaos/suite"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// runs says whether a bug is shown by real processes here.
func (h *hunt) runs(b *mutant.Bug) bool { return b.Run != "" && h.node != "" }

// buildNode builds the aegis program that runs start, and says where their reports go.
func (h *hunt) buildNode(reports, tag string) error {
	h.node, h.reports = filepath.Join(h.dir, "aegis"), reports
	cmd := exec.Command("go", "build", "-tags", tag, "-o", h.node, "./cmd/aegis")
	cmd.Dir = h.sources
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("aegis cannot be built in %s (--sources): %w\n%s", h.sources, err, out)
	}
	faulty := filepath.Join(h.dir, suite.Faulty) // it takes orders as well
	_ = os.Remove(faulty)
	return os.Link(h.node, faulty)
}

// runArgs is a run of a bug's scenario, short and always the same.
func runArgs(b *mutant.Bug, name, node, out string) []string {
	args := []string{"run", "--scenario", b.Run, "--duration", "4s", "--seed", "5", "--budgets=false", "--aegis", node, "--out", out}
	if name != "" {
		args = append(args, "--mutant", name)
	}
	return args
}

// run runs a bug's scenario with the named bug in the nodes, and gives what was said and
// each violation of the report, the property first.
func (h *hunt) run(b mutant.Bug, name string) (string, error) {
	dir := filepath.Join(h.reports, b.Name)
	out, err := exec.Command(h.self, runArgs(&b, name, h.node, dir)...).CombinedOutput()
	said := string(out)
	r, e := readReport(dir)
	if e != nil {
		return said, e
	}
	for _, s := range r.Scenarios {
		for _, v := range s.Violations {
			said += fmt.Sprintf("\n%s: %s", v.Property, v.What)
		}
	}
	return said, err
}

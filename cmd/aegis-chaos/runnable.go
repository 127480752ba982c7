package main

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/baxromumarov/aegisKV/chaos/suite"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// runnable says what keeps a run from saying anything: wrong options, a program that is
// not there, or a seeded bug that it does not hold. A run with no bug in it would pass.
func runnable(o *suite.Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	if _, err := exec.LookPath(o.Aegis); err != nil {
		return fmt.Errorf("the program %s cannot be run (make build builds it, --aegis names another): %w", o.Aegis, err)
	}
	if o.Mutant == "" {
		return nil
	}
	if _, ok := mutant.Find(o.Mutant); !ok {
		return fmt.Errorf("--mutant %q: no seeded bug is called so; internal/mutant/table.go has them", o.Mutant)
	}
	for _, p := range programs(o) {
		if !holdsBugs(p) {
			return fmt.Errorf("--mutant %s: %s holds no seeded bugs: go build -tags mutants -o %s ./cmd/aegis (%s: -tags mutants,chaos)", o.Mutant, p, p, suite.Faulty)
		}
	}
	return nil
}

// programs are what the nodes of a run are started from.
func programs(o *suite.Options) (paths []string) {
	for _, name := range o.Scenarios {
		path := o.Aegis
		if s, ok := suite.ByName(name); ok && s.Seam {
			path = filepath.Join(filepath.Dir(o.Aegis), suite.Faulty)
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// holdsBugs says whether a program was built with the tag mutants.
func holdsBugs(program string) bool {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" && slices.Contains(strings.Split(s.Value, ","), "mutants") {
			return true
		}
	}
	return false
}

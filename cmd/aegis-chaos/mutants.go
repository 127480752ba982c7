package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// mutantsOptions are the flags of `aegis-chaos mutants`.
type mutantsOptions struct {
	only    []string
	sources string
	format  string
	jobs    int
}

// newMutants is `aegis-chaos mutants`: it shows that the checkers can fail.
func newMutants() *cobra.Command {
	o := mutantsOptions{}
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Seed every known bug and see the property named for it broken",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !mutant.Enabled {
				return errNoMutants
			}
			return o.run()
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.only, "only", nil, "these bugs alone")
	f.StringVar(&o.sources, "sources", ".", "the repository, for the tests of rooms")
	f.StringVarP(&o.format, "output", "o", "text", "text or json")
	f.IntVarP(&o.jobs, "jobs", "j", 2, "processes; one runs one bug")
	return cmd
}

// killed is what became of one bug.
type killed struct {
	Name     string  `json:"name"`
	Breaks   string  `json:"breaks"`
	Source   string  `json:"source"`
	Property string  `json:"property"`
	By       string  `json:"by"`
	Verdict  string  `json:"verdict"` // caught, SURVIVED, ERROR or later
	Saw      string  `json:"saw"`
	Seconds  float64 `json:"seconds"`
}

const (
	caught   = "caught"
	survived = "SURVIVED"
	trouble  = "ERROR"
	later    = "later"
)

func (o *mutantsOptions) run() error {
	bugs, err := o.bugs()
	if err != nil {
		return err
	}
	h, err := newHunt(o.sources)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.build(bugs, "-tags", "mutants"); err != nil {
		return err
	}
	results := make([]killed, len(bugs))
	spread(o.jobs, len(bugs), func(i int) { results[i] = h.try(bugs[i]) })
	return o.report(results)
}

func (o *mutantsOptions) bugs() ([]mutant.Bug, error) {
	if len(o.only) == 0 {
		return mutant.Bugs, nil
	}
	var bugs []mutant.Bug
	for _, n := range o.only {
		b, ok := mutant.Find(n)
		if !ok {
			return nil, usagef("no bug is called %q", n)
		}
		bugs = append(bugs, b)
	}
	return bugs, nil
}

func (o *mutantsOptions) report(results []killed) error {
	if o.format == "json" {
		b, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	}
	var alive []string
	count := map[string]int{}
	for _, k := range results {
		count[k.Verdict]++
		if k.Verdict == survived || k.Verdict == trouble {
			alive = append(alive, k.Name)
		}
		if o.format != "json" {
			fmt.Printf("%-8s %-26s %-5.40s %6.2f s  %s\n", k.Verdict, k.Name, k.Property, k.Seconds, k.By)
			if k.Verdict == survived || k.Verdict == trouble {
				fmt.Printf("         %s\n", strings.ReplaceAll(k.Saw, "\n", "\n         "))
			}
		}
	}
	if o.format != "json" {
		fmt.Printf("%d bugs: %d caught, %d survived, %d in error, %d not tried\n", len(results), count[caught], count[survived], count[trouble], count[later])
	}
	if len(alive) > 0 {
		return fmt.Errorf("not caught by the property named for it: %s", strings.Join(alive, ", "))
	}
	return nil
}

// hunt runs bugs, each in a process of its own.
type hunt struct {
	self    string // this binary
	sources string
	dir     string // test binaries of rooms
	node    string // the aegis program for runs; "" = there are none
	reports string // of runs

	mu      sync.Mutex
	sound   map[string]*sync.Once // scripts and tests whose clean run was looked at
	unsound map[string]string     // what a clean run said that should have been quiet
}

// newHunt makes a place for binaries; close must be called.
func newHunt(sources string) (*hunt, error) {
	dir, err := os.MkdirTemp("", "aegis-mutants")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &hunt{self: self, sources: sources, dir: dir, sound: map[string]*sync.Once{}, unsound: map[string]string{}}, nil
}

func (h *hunt) close() { os.RemoveAll(h.dir) }

// build compiles the tests of the rooms that are needed, with some flags.
func (h *hunt) build(bugs []mutant.Bug, flags ...string) error {
	var rooms []string
	for _, b := range bugs {
		if b.Room != "" && !slices.Contains(rooms, b.Room) {
			rooms = append(rooms, b.Room)
		}
	}
	for _, r := range rooms {
		cmd := exec.Command("go", slices.Concat([]string{"test"}, flags, []string{"-c", "-o", h.binary(r), "./" + r})...)
		cmd.Dir = h.sources
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("the tests of %s, which must catch some of the bugs, cannot be built in %s (--sources): %w\n%s", r, h.sources, err, out)
		}
	}
	return nil
}

// binary is where the tests of a room are built.
func (h *hunt) binary(room string) string { return filepath.Join(h.dir, filepath.Base(room)+".test") }

// try runs one bug, and what must catch it without the bug first.
func (h *hunt) try(b mutant.Bug) killed {
	k := killed{Name: b.Name, Breaks: b.Breaks, Source: b.Source, Property: b.Property, Verdict: later, By: b.Later}
	switch {
	case b.Later != "":
		return k
	case h.runs(&b):
		k.By = "run " + b.Run
	case b.Room != "":
		k.By = b.Room + " " + b.Test
	case b.Script != "":
		k.By = "script " + b.Script
	default:
		k.By = "real processes: selftest runs them"
		return k
	}
	if saw := h.clean(b, k.By); saw != "" {
		k.Verdict, k.Saw = trouble, "without the bug: "+saw
		return k
	}
	begun := time.Now()
	out, err := h.play(b, b.Name)
	k.Seconds = time.Since(begun).Seconds()
	k.Saw = excerpt(out, b.Sign())
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		k.Verdict, k.Saw = trouble, err.Error()
	case err == nil || k.Saw == "":
		k.Verdict, k.Saw = survived, tail(out)
	default:
		k.Verdict = caught
	}
	return k
}

// clean answers what a run without a bug complains about, "" when nothing.
func (h *hunt) clean(b mutant.Bug, by string) string {
	if h.runs(&b) { // it takes long, and selftest's clean build does it
		return ""
	}
	h.mu.Lock()
	once := h.sound[by]
	if once == nil {
		once = new(sync.Once)
		h.sound[by] = once
	}
	h.mu.Unlock()
	once.Do(func() {
		if out, err := h.play(b, ""); err != nil {
			h.mu.Lock()
			h.unsound[by] = fmt.Sprintf("%v\n%s", err, tail(out))
			h.mu.Unlock()
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unsound[by]
}

// play runs a bug's script or test with the named bug.
func (h *hunt) play(b mutant.Bug, name string) (string, error) {
	if h.runs(&b) {
		return h.run(b, name)
	}
	cmd := exec.Command(h.self, "script", b.Script)
	if b.Room != "" {
		cmd = exec.Command(h.binary(b.Room), "-test.run", pattern(b.Test))
		cmd.Dir = filepath.Join(h.sources, b.Room)
	}
	cmd.Env = append(os.Environ(), "AEGIS_MUTANT="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// pattern makes "TestA/b" the expression that -test.run takes.
func pattern(test string) string {
	name, sub, ok := strings.Cut(test, "/")
	if !ok {
		return "^" + name
	}
	return "^" + name + "$/^" + sub
}

// excerpt is the first line with what was to be seen.
func excerpt(out, want string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, want) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// Run measures every cell and gives the report.
func Run(o Options) (Report, error) {
	begun := time.Now()
	r := Report{Machine: machine(), Rounds: o.Rounds, Window: o.Window, Conns: o.Conns, Keys: o.Keys}
	if o.Rounds < 1 || o.Conns < 3 || o.Keys < 100 || o.Window <= 0 {
		return r, errors.New("a run needs a round, three connections, 100 keys and some time")
	}
	var redis string
	var err error
	if r.Aegis, redis, r.Redis, err = programs(o.Aegis, o.Redis); err != nil {
		return r, err
	}
	if redis == "" {
		fmt.Fprintf(o.Log, "%s is not installed: AegisKV is measured alone\n", o.Redis)
	}
	for _, nodes := range topologies {
		if err := o.topology(nodes, redis, &r); err != nil {
			return r, err
		}
	}
	r.Took = time.Since(begun)
	return r, nil
}

// topology starts the systems, fills them, and measures the cells in rounds.
func (o Options) topology(nodes int, redis string, r *Report) error {
	cells, copies := o.cells(nodes), o.copiesCells(nodes)
	if len(cells)+len(copies) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "aegis-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(o.Log, "%d node(s): starting and filling\n", nodes)
	aegis, err := startAegis(o.Aegis, dir, nodes, runtime.NumCPU())
	defer aegis.stop()
	if err != nil {
		return err
	}
	systems := []*system{aegis}
	if redis != "" && len(cells) > 0 {
		s, err := startRedis(redis, dir, nodes, runtime.NumCPU())
		defer s.stop()
		if err != nil {
			return err
		}
		systems = append(systems, s)
	}
	for _, s := range systems {
		if err := s.prepare(o, nodes); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(cells, Cell.timed) {
		e, err := startEcho(serverCore(runtime.NumCPU(), 0))
		if err != nil {
			return err
		}
		defer e.stop()
		s := &system{name: "echo", addrs: []string{e.listener.Addr().String()}}
		defer s.stop()
		if s.gen, err = newGenerator(s.addrs, o.Conns, func(int) [][]int { return [][]int{{0}, {0}} }); err != nil {
			return err
		}
		systems = append(systems, s)
	}
	return onFirstCore(func() error {
		rows, err := o.rounds(cells, systems)
		r.Rows = append(r.Rows, rows...)
		if err == nil && len(copies) > 0 {
			r.Copies, err = aegis.copies(o, copies)
		}
		return err
	})
}

// onFirstCore runs the generator where no server runs, if there are two cores.
func onFirstCore(run func() error) error {
	if runtime.NumCPU() == 1 {
		return run()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := pin(0)
	if err != nil {
		return err
	}
	defer unpin(before)
	return run()
}

// rounds measures every cell for each system in turn; the order turns with the round.
// The echo server is asked in cells of latency only.
func (o Options) rounds(cells []Cell, systems []*system) (rows []Row, err error) {
	all := make(map[string]*measured)
	at := func(c Cell, s *system) *measured {
		m := all[c.Name()+s.name]
		if m == nil {
			m = &measured{latency: load.NewHistogram()}
			all[c.Name()+s.name] = m
		}
		return m
	}
	for round := range o.Rounds {
		fmt.Fprintf(o.Log, "round %d of %d\n", round+1, o.Rounds)
		for _, c := range cells {
			for i := range systems {
				s := systems[(i+round)%len(systems)]
				if s.name == "echo" && !c.timed() {
					continue
				}
				m := at(c, s)
				t := turn{g: s.gen, latency: m.latency, cpu: func() (time.Duration, error) { return cpuOf(s.procs) }}
				if err := t.run(c, o.rate(c), o.Warm, o.Window); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, c.Name(), err)
				}
				m.rounds = append(m.rounds, t.sample)
			}
		}
	}
	for _, c := range cells {
		rows = append(rows, rowOf(c, o.rate(c), all[c.Name()+"aegis"], all[c.Name()+"redis"], all[c.Name()+"echo"]))
	}
	return rows, nil
}

// machine names where this runs.
func machine() Machine {
	m := Machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), Go: runtime.Version(), Pinned: "one core: nothing is pinned"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 3 {
			m.Load = strings.Join(f[:3], " ")
		}
	}
	if m.Cores > 1 {
		m.Pinned = fmt.Sprintf("each server on one core (the first on core %d), the generator on core 0", serverCore(m.Cores, 0))
	}
	return m
}

// Binary is the aegis beside the running program, else the one in PATH.
func Binary() string {
	if exe, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(exe), "aegis"); exec.Command(beside, "version").Run() == nil {
			return beside
		}
	}
	return "aegis"
}

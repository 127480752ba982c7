package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// names are those of some nodes, for people.
func (r *run) names(nodes []int) string {
	var all []string
	for _, n := range nodes {
		all = append(all, r.c.Nodes[n].Name)
	}
	return strings.Join(all, ", ")
}

// moved is the evidence of a fault that must cost leases: others were opened since, if
// the nodes had any.
func (r *run) moved(nodes []int) func() (string, error) {
	at, had := r.l.now(), 0
	if holders, err := r.c.Holders(); err == nil {
		for _, n := range holders {
			if slices.Contains(nodes, n) {
				had++
			}
		}
	}
	return func() (string, error) {
		s, err := r.c.Story(r.layout, r.l.now()+r.l.base)
		if err != nil {
			return "", err
		}
		n := 0
		for _, sv := range s.Servings {
			if sv.From > at+r.l.base {
				n++
			}
		}
		if n == 0 && had > 0 {
			return "", fmt.Errorf("no lease was opened since, and %d were held", had)
		}
		return fmt.Sprintf("%d groups were held, %d leases were opened since", had, n), nil
	}
}

// kill kills nodes and starts them again when the fault is over.
func kill(who chooser) func(r *run) *struck {
	return func(r *run) *struck {
		nodes := who(r)
		seen := r.moved(nodes)
		for _, n := range nodes {
			r.c.Nodes[n].Kill()
		}
		return &struck{
			nodes: nodes, target: r.names(nodes), hold: r.span(lease, 3*lease), evidence: seen,
			heal: func() error { return r.start(nodes) },
		}
	}
}

func (r *run) start(nodes []int) error {
	for _, n := range nodes {
		r.look(n)
		if err := r.c.Nodes[n].Start(); err != nil {
			return err
		}
	}
	return nil
}

// storm kills nodes by chance, and starts each at once.
func storm(r *run) *struck {
	all := everyone(r)
	seen := r.moved(all)
	for range 4 {
		n := r.c.Nodes[r.rng.IntN(len(r.c.Nodes))]
		n.Kill()
		r.wait(r.span(0, lease/4))
		_ = n.Start()
		r.wait(r.span(0, lease))
	}
	return &struck{nodes: all, target: "all, by chance", evidence: seen, heal: func() error { return nil }}
}

// rolling ends a node in the ordinary way and starts it again.
func rolling(r *run) *struck {
	nodes := busiest(r)
	seen := r.moved(nodes)
	err := r.c.Nodes[nodes[0]].Leave()
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(0, lease), evidence: seen,
		heal: func() error { return errors.Join(err, r.start(nodes)) },
	}
}

// pause lets nodes stand still for a time between two.
func pause(who chooser, least, most time.Duration) func(r *run) *struck {
	return func(r *run) *struck {
		nodes := who(r)
		var err error
		for _, n := range nodes {
			err = errors.Join(err, r.c.Nodes[n].Pause())
		}
		at, still := r.l.now(), time.Duration(0)
		return &struck{
			nodes: nodes, target: r.names(nodes), hold: r.span(least, most),
			heal: func() error {
				still = r.l.now() - at
				for _, n := range nodes {
					r.c.Nodes[n].Resume()
				}
				return err
			},
			evidence: func() (string, error) {
				return fmt.Sprintf("all threads stood still for %v", still.Round(time.Millisecond)), err
			},
		}
	}
}

// unread starts a node anew with a log that nobody reads.
func unread(r *run) *struck {
	nodes := busiest(r)
	n := r.c.Nodes[nodes[0]]
	err := n.Leave()
	if err == nil {
		err = n.StartUnread()
	}
	waited := 0
	return &struck{
		nodes: nodes, target: n.Name, hold: r.span(3*lease, 5*lease),
		heal: func() error {
			var e error
			waited, e = n.ReadLog()
			return errors.Join(err, e)
		},
		evidence: func() (string, error) {
			if waited == 0 {
				return "", errors.New("nothing of its log had waited")
			}
			return fmt.Sprintf("%d bytes of its log had waited in the pipe", waited), nil
		},
	}
}

// flipLog damages the middle of a killed node's log, cutLog its end.
func flipLog(r *run) *struck { return damageLog(r, "a bit was turned over", flipBit) }
func cutLog(r *run) *struck  { return damageLog(r, "the end was cut", cutEnd) }

func damageLog(r *run, what string, damage func(path string, r *run) error) *struck {
	nodes := idlest(r)
	n := r.c.Nodes[nodes[0]]
	n.Kill()
	path, err := largest(filepath.Join(n.Dir(), "wal"))
	if err == nil {
		err = damage(path, r)
		r.harmed[nodes[0]] = true
	}
	return &struck{
		nodes: nodes, target: n.Name, hold: r.span(0, lease),
		heal:     func() error { return r.start(nodes) },
		evidence: func() (string, error) { return what + " in " + filepath.Base(path), err },
	}
}

// largest is the largest file of a directory.
func largest(dir string) (path string, err error) {
	size := int64(0)
	err = filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() && i.Size() > size {
			path, size = p, i.Size()
		}
		return err
	})
	if err == nil && path == "" {
		err = fmt.Errorf("%s holds no log", dir)
	}
	return path, err
}

func flipBit(path string, r *run) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	end := len(b)
	for end > 1 && b[end-1] == 0 { // what was laid out and not written
		end--
	}
	b[r.rng.IntN(end)] ^= 1 << r.rng.IntN(8)
	return os.WriteFile(path, b, 0o600)
}

func cutEnd(path string, r *run) error {
	i, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, i.Size()-min(i.Size(), 1+r.rng.Int64N(2000)))
}

// wipe takes the disk of a killed node away.
func wipe(r *run) *struck {
	nodes := idlest(r)
	n := r.c.Nodes[nodes[0]]
	n.Kill()
	err := n.Wipe()
	return &struck{
		nodes: nodes, target: n.Name, hold: r.span(0, 2*lease),
		heal: func() error { return r.start(nodes) },
		evidence: func() (string, error) {
			if _, e := os.Stat(n.Dir()); e != nil {
				return "", errors.Join(err, e)
			}
			return "it began again in an empty directory", err
		},
	}
}

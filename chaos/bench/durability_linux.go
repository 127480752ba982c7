package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// Durability measures what it costs to keep writes.
func Durability(o DurabilityOptions) (DurabilityReport, error) {
	r := DurabilityReport{Machine: machine(), Rounds: o.Rounds, Window: o.Window, Conns: o.Conns, Keys: o.Keys}
	if o.Rounds < 1 || o.Conns < 3 || o.Keys < 100 || o.Window <= 0 {
		return r, errors.New("a run needs a round, three connections, 100 keys and some time")
	}
	var redis string
	var err error
	if r.Aegis, redis, r.Redis, err = programs(o.Aegis, o.Redis); err != nil {
		return r, err
	}
	all := map[string]*measured{}
	var disk []time.Duration
	for round := range o.Rounds {
		fmt.Fprintf(o.Log, "round %d of %d\n", round+1, o.Rounds)
		took, err := probeDisk()
		if err != nil {
			return r, err
		}
		disk = append(disk, took...)
		for _, c := range contestants {
			if c.redis && redis == "" {
				continue
			}
			if all[c.name] == nil {
				all[c.name] = &measured{latency: load.NewHistogram()}
			}
			if err := o.measure(c, redis, all[c.name]); err != nil {
				return r, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	slices.Sort(disk)
	r.DiskP50, r.DiskP99 = disk[len(disk)/2], disk[len(disk)*99/100]
	r.Rows = keptOf(all)
	if r.Saves, err = o.saves(r.Rows); err != nil {
		return r, err
	}
	r.Verdicts = verdicts(r.Rows, r.Saves)
	return r, nil
}

// saves measures what an image costs in the modes that have one.
func (o DurabilityOptions) saves(rows []Kept) (saves []Saving, err error) {
	for _, c := range contestants {
		if c.floor == 0 || o.Saves == 0 {
			continue
		}
		fmt.Fprintf(o.Log, "%s: images under load\n", c.name)
		peak := rows[slices.IndexFunc(rows, func(k Kept) bool { return k.Name == c.name })].Rate
		s, err := o.saving(c, peak)
		if err != nil {
			return saves, fmt.Errorf("%s: %w", c.name, err)
		}
		saves = append(saves, s)
	}
	return saves, nil
}

// probeDisk asks the disk where the servers' directories will be.
func probeDisk() ([]time.Duration, error) {
	dir, err := os.MkdirTemp("", "aegis-bench-disk-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return syncTimes(dir)
}

// measure is one round of one contestant: a server of its own, on an empty directory, so
// that nobody pays for what another still has to write. Nothing is pinned: disks are
// written by the kernel beside the server, and a Go program on one core stands still until
// its runtime has noticed that an fsync takes long.
func (o DurabilityOptions) measure(c contestant, redis string, m *measured) error {
	dir, err := os.MkdirTemp("", "aegis-bench-durability-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var s *system
	if c.redis {
		s, err = startRedis(redis, dir, 1, 1, c.flags...)
	} else {
		s, err = startAegis(o.Aegis, dir, 1, 1, c.flags...)
	}
	defer s.stop()
	if err != nil {
		return err
	}
	if err := s.prepare(Options{Conns: o.Conns, Keys: o.Keys, Log: o.Log}, 1); err != nil {
		return err
	}
	t := turn{g: s.gen, latency: m.latency, cpu: func() (time.Duration, error) { return cpuOf(s.procs) }}
	if err := t.run(durableCell, 0, o.Window/4, o.Window); err != nil {
		return err
	}
	m.rounds = append(m.rounds, t.sample)
	return nil
}

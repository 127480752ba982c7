package bench

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

const (
	savingBefore = 15          // windows before each save
	savingMax    = time.Minute // for all of one mode, after the fill
)

// saving offers half of the peak rate to one node and saves its image meanwhile.
func (o DurabilityOptions) saving(c contestant, peak float64) (Saving, error) {
	r := Saving{Mode: c.name, Keys: o.SaveKeys, Offered: int(peak / 2)}
	dir, err := os.MkdirTemp("", "aegis-bench-saving-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	s, err := startAegis(o.Aegis, dir, 1, 1, c.flags...)
	defer s.stop()
	if err != nil {
		return r, err
	}
	if err := s.prepare(Options{Conns: o.Conns, Keys: o.SaveKeys, Log: o.Log}, 1); err != nil {
		return r, err
	}
	w := startWitness()
	defer w.end()
	m := savingMeter{s: s, w: w, offered: r.Offered, until: time.Now().Add(savingMax), kinds: map[bool]*gathered{
		false: {latency: load.NewHistogram()}, true: {latency: load.NewHistogram()},
	}}
	if err := m.warm(); err != nil {
		return r, err
	}
	for r.Saves < o.Saves && !m.over() {
		saved, err := m.save()
		if err != nil {
			return r, err
		}
		r.Saves += saved
	}
	r.Before, r.During = m.kinds[false].result(), m.kinds[true].result()
	if r.Before.P99 > 0 {
		r.Ratio = r.During.P99 / r.Before.P99
	}
	return r, nil
}

// savingMeter measures window by window; kinds are by whether an image was being saved.
type savingMeter struct {
	s       *system
	w       *witness
	offered int
	until   time.Time
	kinds   map[bool]*gathered
}

// over says that the time is up: what was measured until then is judged.
func (m *savingMeter) over() bool { return time.Now().After(m.until) }

// warm measures windows that do not count, and one image that saves all there is.
func (m *savingMeter) warm() error {
	if _, err := ask(m.s.addrs[0], "BGSAVE"); err != nil {
		return err
	}
	for n := 0; ; n++ {
		busy, err := m.busy()
		if err != nil || !busy && n >= savingBefore || m.over() {
			return err
		}
		if _, _, err := m.window(); err != nil {
			return err
		}
	}
}

// save measures some windows without a save and all of one with it; 1 when there was one.
func (m *savingMeter) save() (saved int, err error) {
	for n := 0; n < savingBefore && !m.over(); n++ {
		if err := m.count(); err != nil {
			return 0, err
		}
	}
	if _, err := ask(m.s.addrs[0], "BGSAVE"); err != nil {
		return 0, err
	}
	for {
		busy, err := m.busy()
		if err != nil || !busy || m.over() {
			return saved, err
		}
		saved = 1
		if err := m.count(); err != nil {
			return 0, err
		}
	}
}

// count measures a window; one in which a save began or ended is of neither kind.
func (m *savingMeter) count() error {
	before, err := m.busy()
	if err != nil {
		return err
	}
	m.w.late()
	t, took, err := m.window()
	if err != nil {
		return err
	}
	late := m.w.late()
	after, err := m.busy()
	if err == nil && before == after {
		m.kinds[before].take(took, t.latency, late > lateMax)
	}
	return err
}

func (m *savingMeter) window() (*turn, sample, error) {
	t := &turn{g: m.s.gen, latency: load.NewHistogram(), cpu: func() (time.Duration, error) { return 0, nil }}
	err := t.run(durableCell, m.offered, savingWindow/10, savingWindow)
	return t, t.sample, err
}

// busy says whether the node is saving its image.
func (m *savingMeter) busy() (bool, error) {
	v, err := ask(m.s.addrs[0], "INFO", "persistence")
	if err != nil {
		return false, err
	}
	if !strings.Contains(string(v.Text), "rdb_bgsave_in_progress:") {
		return false, fmt.Errorf("INFO persistence says %q", v.Text)
	}
	return strings.Contains(string(v.Text), "rdb_bgsave_in_progress:1"), nil
}

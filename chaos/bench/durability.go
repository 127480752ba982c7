package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// DurabilityOptions say how a log is measured.
type DurabilityOptions struct {
	Aegis  string // path of the aegis binary
	Redis  string // name or path of redis-server; not found: AegisKV is measured alone
	Rounds int
	Window time.Duration // measured time of one system and round
	Conns  int
	Keys   int

	Saves    int // images that are saved in each mode at half of the peak rate, 0 = none
	SaveKeys int // keys that they are of
	Log      io.Writer
}

// DefaultDurabilityOptions are those of `make bench-durability`: four minutes.
func DefaultDurabilityOptions() DurabilityOptions {
	return DurabilityOptions{
		Redis: "redis-server", Rounds: 5, Window: 2 * time.Second, Conns: 50, Keys: 100000,
		Saves: 3, SaveKeys: 500000, Log: io.Discard,
	}
}

// durableCell is what is written: as much as is answered.
var durableCell = Cell{Nodes: 1, Op: "SET", Depth: 16, Value: 100}

// contestant is a way to keep writes, and what it is measured against.
type contestant struct {
	name   string
	redis  bool
	flags  []string
	floor  float64 // of AegisKV's own rate in mode off, 0 = none
	beside string  // the contestant that it has to be faster than
}

// contestants are measured in this order, round by round.
var contestants = []contestant{
	{name: "off", flags: []string{"--wal", "off"}},
	{name: "write", flags: []string{"--wal", "write"}, floor: 0.8, beside: "redis everysec"},
	{name: "redis everysec", redis: true, flags: []string{"--appendonly", "yes", "--appendfsync", "everysec"}},
	{name: "fsync", flags: []string{"--wal", "fsync"}, floor: 0.5, beside: "redis always"},
	{name: "redis always", redis: true, flags: []string{"--appendonly", "yes", "--appendfsync", "always"}},
}

// Kept is what the rounds showed of one way to keep writes.
type Kept struct {
	Name string `json:"name"`
	Figure
	// Off is the rate by that of mode off in the same round, median of the rounds.
	Off     float64 `json:"byModeOff,omitempty"`
	OffLow  float64 `json:"byModeOffLow,omitempty"`
	OffHigh float64 `json:"byModeOffHigh,omitempty"`
	Floor   float64 `json:"floor,omitempty"`
	// Redis is the rate by that of redis-server's like mode, median of the rounds.
	Redis float64 `json:"byRedis,omitempty"`
}

// DurabilityReport is a whole run.
type DurabilityReport struct {
	Machine Machine       `json:"machine"`
	Redis   string        `json:"redis"`
	Aegis   string        `json:"aegis"`
	Rounds  int           `json:"rounds"`
	Window  time.Duration `json:"windowNanoseconds"`
	Conns   int           `json:"connections"`
	Keys    int           `json:"keys"`
	// Disk is what an fsync of a little takes here, whoever asks: p50 and p99 of probes
	// before every round.
	DiskP50  time.Duration `json:"diskP50Nanoseconds"`
	DiskP99  time.Duration `json:"diskP99Nanoseconds"`
	Rows     []Kept        `json:"rows"`
	Saves    []Saving      `json:"saves"`
	Verdicts []Verdict     `json:"verdicts"`
}

// keptOf puts the rounds of all contestants together, by name.
func keptOf(all map[string]*measured) (rows []Kept) {
	for _, c := range contestants {
		m := all[c.name]
		if m == nil {
			continue
		}
		k := Kept{Name: c.name, Figure: figureOf(m.rounds, m.latency), Floor: c.floor}
		if c.floor > 0 {
			k.Off, k.OffLow, k.OffHigh = spread(ratesBy(m, all["off"]))
		}
		if beside := all[c.beside]; beside != nil {
			k.Redis, _, _ = spread(ratesBy(m, beside))
		}
		rows = append(rows, k)
	}
	return rows
}

// ratesBy is the rate of one by that of the other, round by round.
func ratesBy(m, other *measured) (ratios []float64) {
	rate := func(s sample) float64 { return float64(s.ops) / s.took.Seconds() }
	for i, s := range m.rounds {
		ratios = append(ratios, rate(s)/rate(other.rounds[i]))
	}
	return ratios
}

// JSON writes the report as one object.
func (r DurabilityReport) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report as a table.
func (r DurabilityReport) Text(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s; load average before: %s; nothing is pinned\n", m.CPU, m.Cores, m.Kernel, m.Go, m.Load)
	fmt.Fprintf(w, "%s beside %s; SET of %d B, pipeline %d, %d connections, %d keys, %d rounds of %v, each server alone with an empty directory\n",
		r.Aegis, r.Redis, durableCell.Value, durableCell.Depth, r.Conns, r.Keys, r.Rounds, r.Window)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "mode\tSET/s\tSET/CPU-s\tp50 us\tp99 us\tby off\tspread\tfloor\tby redis\t")
	for _, k := range r.Rows {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t", k.Name, k.Rate, k.OpsPerCPU, k.P50, k.P99)
		if k.Floor > 0 {
			fmt.Fprintf(t, "%.2f\t%.2f-%.2f\t%.2f\t", k.Off, k.OffLow, k.OffHigh, k.Floor)
		} else {
			fmt.Fprint(t, "-\t-\t-\t")
		}
		if k.Redis > 0 {
			fmt.Fprintf(t, "%.2f\t\n", k.Redis)
		} else {
			fmt.Fprint(t, "-\t\n")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, k := range r.Rows {
		if k.Errors > 0 {
			fmt.Fprintf(w, "%s: %d error replies, the first: %s\n", k.Name, k.Errors, k.FirstError)
		}
	}
	fmt.Fprintf(w, "an fsync after %d KiB takes this disk p50 %v, p99 %v\n", syncBytes>>10, r.DiskP50.Round(time.Microsecond), r.DiskP99.Round(time.Microsecond))
	if err := savesText(w, r.Saves); err != nil {
		return err
	}
	return verdictsText(w, r.Verdicts)
}

func savesText(w io.Writer, saves []Saving) error {
	if len(saves) == 0 {
		return nil
	}
	fmt.Fprintf(w, "an image saved under half of the peak rate; windows of %v, those with a thread that sleeps 1 ms woken more than %v late are left out\n", savingWindow, lateMax)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "mode\tkeys\toffered/s\tsaves\tbefore: windows\tdisturbed\tp50 us\tp99 us\tduring: windows\tdisturbed\tp50 us\tp99 us\t")
	for _, s := range saves {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t", s.Mode, s.Keys, s.Offered, s.Saves)
		for _, v := range []Windows{s.Before, s.During} {
			fmt.Fprintf(t, "%d\t%d\t%.0f\t%.0f\t", v.Windows, v.Disturbed, v.P50, v.P99)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func verdictsText(w io.Writer, vs []Verdict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range vs {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%s\n", v.What, v.Bar, v.Got, v.Says)
	}
	return t.Flush()
}

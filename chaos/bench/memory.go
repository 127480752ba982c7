package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// MemoryOptions say what is stored to measure the memory of a server.
type MemoryOptions struct {
	Aegis   string    // path of the aegis binary
	Redis   string    // name or path of redis-server; not found: AegisKV is measured alone
	Entries int       // keys of 16 B with values of 100 B
	Log     io.Writer // progress
}

// DefaultMemoryOptions are those of `make bench-memory`.
func DefaultMemoryOptions() MemoryOptions {
	return MemoryOptions{Redis: "redis-server", Entries: 5_000_000, Log: io.Discard}
}

const (
	memoryKey   = 16  // bytes
	memoryValue = 100 // bytes
)

// Footprint is what entries cost one server process.
type Footprint struct {
	Empty    int64   `json:"emptyBytes"` // resident before the first entry
	Full     int64   `json:"fullBytes"`  // resident with all entries
	PerEntry float64 `json:"bytesPerEntry"`
	Overhead float64 `json:"overheadPerEntry"` // of that: beside key and value
	// Own is the overhead of an entry by the server's own figure of its stores, in bytes: without
	// replication rings and what is kept ready. 0 where the server says none.
	Own float64 `json:"ownOverheadPerEntry,omitempty"`
}

func footprintOf(empty, full int64, entries int) Footprint {
	per := float64(full-empty) / float64(entries)
	return Footprint{Empty: empty, Full: full, PerEntry: per, Overhead: per - memoryKey - memoryValue}
}

// MemoryRow is one kind of entry in both systems.
type MemoryRow struct {
	TTL   bool       `json:"ttl"`
	Aegis Footprint  `json:"aegis"`
	Redis *Footprint `json:"redis,omitempty"`
}

// MemoryReport is a whole run.
type MemoryReport struct {
	Machine Machine       `json:"machine"`
	Redis   string        `json:"redis"` // its version, or why it is not there
	Aegis   string        `json:"aegis"`
	Entries int           `json:"entries"`
	Took    time.Duration `json:"tookNanoseconds"`
	Rows    []MemoryRow   `json:"rows"`
}

// JSON writes the report as one object.
func (r MemoryReport) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report as a table.
func (r MemoryReport) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s beside %s; Linux %s; %d entries, keys of %d B, values of %d B, one node\n", r.Aegis, r.Redis, r.Machine.Kernel, r.Entries, memoryKey, memoryValue)
	fmt.Fprintln(w, "B/entry: growth of resident memory by entry, overhead: beside key and value; stores: the same by aegis_stores_held, without replication rings")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\taegis MiB empty\tfull\tB/entry\toverhead\tstores\tredis MiB empty\tfull\tB/entry\toverhead\t")
	for _, row := range r.Rows {
		name := "no TTL"
		if row.TTL {
			name = "TTL"
		}
		a := row.Aegis
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t", name, a.Empty>>20, a.Full>>20, a.PerEntry, a.Overhead, a.Own)
		if b := row.Redis; b != nil {
			fmt.Fprintf(t, "%d\t%d\t%.1f\t%.1f\t\n", b.Empty>>20, b.Full>>20, b.PerEntry, b.Overhead)
		} else {
			fmt.Fprint(t, "-\t-\t-\t-\t\n")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "took %v\n", r.Took.Round(time.Second))
	return err
}

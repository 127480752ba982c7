package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Recorded is a run as it stands in a file: everything that checkers judge. Who has the
// file can judge it again.
type Recorded struct {
	Layout   shardmap.Layout
	Wall     int64         // unix ms at time 0
	Mono     time.Duration // the clock that leases run on, at time 0
	Bound    time.Duration // how old readings from followers may be
	Skew     time.Duration `json:",omitempty"` // that wall clocks of nodes were off, at most
	Evicts   bool          `json:",omitempty"` // memory was full: any key may go
	Names    map[shardmap.NodeID]string
	Told     []Told
	Cuts     []Cut
	Servings []Serving
	Digests  []Digest
	Verdicts []AtRest
}

// row is one line of the file.
type row struct {
	Head    *Recorded `json:"head,omitempty"` // without its lists
	Op      *Told     `json:"op,omitempty"`
	Cut     *Cut      `json:"cut,omitempty"`
	Serving *Serving  `json:"serving,omitempty"`
	Digest  *Digest   `json:"digest,omitempty"`
	Verdict *AtRest   `json:"verdict,omitempty"`
}

// Write writes the file: JSON lines, compressed.
func (r *Recorded) Write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return err
	}
	e := json.NewEncoder(z)
	put := func(l row) {
		if err == nil {
			err = e.Encode(l)
		}
	}
	put(row{Head: &Recorded{Layout: r.Layout, Wall: r.Wall, Mono: r.Mono, Bound: r.Bound, Skew: r.Skew, Evicts: r.Evicts, Names: r.Names}})
	for i := range r.Told {
		put(row{Op: &r.Told[i]})
	}
	for i := range r.Cuts {
		put(row{Cut: &r.Cuts[i]})
	}
	for i := range r.Servings {
		put(row{Serving: &r.Servings[i]})
	}
	for i := range r.Digests {
		put(row{Digest: &r.Digests[i]})
	}
	for i := range r.Verdicts {
		put(row{Verdict: &r.Verdicts[i]})
	}
	return errors.Join(err, z.Close())
}

// ReadRecorded reads such a file.
func ReadRecorded(path string) (*Recorded, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var r *Recorded
	for d := json.NewDecoder(bufio.NewReader(z)); ; {
		var l row
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF) && r != nil:
			return r, nil
		case err != nil:
			return nil, fmt.Errorf("%s is no history: %w", path, err)
		}
		switch {
		case l.Head != nil:
			r = l.Head
		case r == nil:
			return nil, fmt.Errorf("%s is no history: it has no head", path)
		case l.Op != nil:
			r.Told = append(r.Told, *l.Op)
		case l.Cut != nil:
			r.Cuts = append(r.Cuts, *l.Cut)
		case l.Serving != nil:
			r.Servings = append(r.Servings, *l.Serving)
		case l.Digest != nil:
			r.Digests = append(r.Digests, *l.Digest)
		case l.Verdict != nil:
			r.Verdicts = append(r.Verdicts, *l.Verdict)
		}
	}
}

// Judgement is what the checkers say of a run.
type Judgement struct {
	Broken    []string // property, colon, sentence
	Undecided []string
	Ops       int
	Reads     int
	Lost      int // acknowledged writes that an Open declared lost
	Durable   int // those of Lost that a majority had been waited for
	Losses    []Loss
	Missing   int // Opens of which nobody told
	Copies    int
	Leases    int
	Verdicts  int     // of nodes at rest, on versions that clients were told
	Opinion   Opinion // of the search
	Evicted   int     // keys that readings showed to be evicted
	Unjudged  int     // keys that could not be judged, because evictions and unknown outcomes explain too much
}

// searchMax is how long a search may take for one key.
const searchMax = 20 * time.Second

// Judge lets all checkers judge the run.
func (r *Recorded) Judge() Judgement {
	cfg := TrialConfig{Layout: r.Layout, Wall: r.Wall, Bound: r.Bound, Skew: r.Skew, Names: r.Names, Sample: 40, Verdicts: r.Verdicts, Evicts: r.Evicts}
	h, t := Try(cfg, r.Told, r.Cuts)
	j := Judgement{Ops: h.Ops, Reads: h.Reads, Lost: h.Lost, Durable: h.Durable, Missing: t.Missing(), Losses: t.losses, Leases: len(r.Servings), Verdicts: t.verdicts, Evicted: t.evicted, Unjudged: t.unjudged}
	j.Opinion = h.Sample.Check(h, searchMax)
	differ, copies := Differences(r.Digests)
	j.Copies = copies
	for _, b := range append(append(h.Broken, Overlaps(r.Servings, r.Mono)...), differ...) {
		if len(b) > 9 && b[:9] == "undecided" {
			j.Undecided = append(j.Undecided, b)
		} else {
			j.Broken = append(j.Broken, b)
		}
	}
	return j
}

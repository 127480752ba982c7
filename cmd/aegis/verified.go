package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// verified is what the verify commands print with -o json, of a backup, a snapshot or a log.
type verified struct {
	Path    string   `json:"path"`
	Kind    string   `json:"kind"`
	Sound   bool     `json:"sound"` // as the exit code says
	Damages []string `json:"damages"`
	Bytes   int64    `json:"bytes"` // of the files, of the blocks of a snapshot

	Shards int   `json:"shards,omitempty"` // that are in it
	Keys   int64 `json:"keys,omitempty"`   // of a backup

	SavedMs int64  `json:"savedMs,omitempty"` // of a snapshot, unix ms; 0 = never as a whole
	LogFrom uint64 `json:"logFrom,omitempty"` // what a snapshot needs of its log
	LogUpTo uint64 `json:"logUpTo,omitempty"`

	Log *verifiedLog `json:"log,omitempty"`
}

// verifiedLog is what a log has beside.
type verifiedLog struct {
	Mode      string `json:"mode"`
	Segments  int    `json:"segments"`
	Frames    uint64 `json:"frames"`
	End       uint64 `json:"end"`
	TornBytes int64  `json:"tornBytes"` // at its end, never durable
	Intact    bool   `json:"intact"`
	Why       string `json:"why,omitempty"` // it is not intact
}

// print writes it, and ends the command as damage does.
func (v *verified) print(out io.Writer, damages []error) error {
	v.Damages = []string{}
	for _, d := range damages {
		v.Damages = append(v.Damages, d.Error())
	}
	v.Sound = len(damages) == 0
	if err := json.NewEncoder(out).Encode(v); err != nil {
		return err
	}
	if !v.Sound {
		return &exitError{exitDamaged, v.Path + " is damaged"}
	}
	return nil
}

// printBackup reads every byte of a backup for -o json.
func printBackup(dir string, m *backup.Manifest, out io.Writer) error {
	v := &verified{Path: dir, Kind: "backup", Bytes: fileBytes(m), Shards: len(m.Files), Keys: m.Keys}
	return v.print(out, backup.Verify(dir, m, func(int64) {}))
}

// printSnapshot is what was found in a snapshot.
func printSnapshot(file string, rep *image.Report, out io.Writer) error {
	v := &verified{Path: file, Kind: "snapshot", Shards: len(rep.Rows), SavedMs: rep.Saved, LogFrom: rep.From}
	for i := range rep.Rows {
		v.Bytes += int64(rep.Rows[i].Bytes)
		v.LogUpTo = max(v.LogUpTo, rep.Rows[i].To.LSN)
	}
	return v.print(out, rep.Damages)
}

// printLog is what was found in a log.
func printLog(dir string, r *wal.Recovery, out io.Writer) error {
	l := &verifiedLog{Mode: r.Mode.String(), Segments: r.Segments, Frames: r.Frames, End: uint64(r.End), Intact: r.Intact, Why: r.Why}
	if r.Torn != nil {
		l.TornBytes = r.Torn.Bytes
	}
	var damages []error
	for _, d := range r.Damages {
		damages = append(damages, fmt.Errorf("%s: %s; %s", d.Place, d.Why, lostShards(d.Shards)))
	}
	v := &verified{Path: dir, Kind: "log", Bytes: r.Bytes, Log: l}
	return v.print(out, damages)
}

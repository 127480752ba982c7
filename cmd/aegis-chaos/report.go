package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// newReport is `aegis-chaos report`: the page of an older run, as this program draws it.
func newReport() *cobra.Command {
	var summary, record string
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Draw report.html and junit.xml of a run's report.json again, or sum it up",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := readReport(args[0])
			if err != nil {
				return err
			}
			if summary != "" || record != "" {
				return errors.Join(writeSummary(r, summary), addToRecord(r, record))
			}
			dir := args[0]
			if filepath.Ext(dir) == ".json" {
				dir = filepath.Dir(dir)
			}
			if err := r.WriteDir(dir); err != nil {
				return err
			}
			fmt.Println(filepath.Join(dir, report.HTMLName))
			return nil
		},
	}
	cmd.Flags().StringVar(&summary, "summary", "", "write report.json without what only pictures need to this file, and draw nothing")
	cmd.Flags().StringVar(&record, "record", "", "add the run to this record of many, with less than a summary, and draw nothing")
	return cmd
}

func writeSummary(r *report.Report, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.Summary().Encode(f), f.Close())
}

func addToRecord(r *report.Report, path string) error {
	if path == "" {
		return nil
	}
	rec, err := report.ReadRecord(path)
	if err != nil {
		return err
	}
	rec.Add(r.Outline())
	return rec.Write(path)
}

// readReport takes a report.json, or the directory it lies in.
func readReport(path string) (*report.Report, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, report.JSONName)
	}
	return report.ReadFile(path)
}

// compareOptions are the flags of `aegis-chaos compare`.
type compareOptions struct {
	format string
	out    string
	names  []string
}

// newCompare is `aegis-chaos compare`: reports side by side.
func newCompare() *cobra.Command {
	o := compareOptions{}
	cmd := &cobra.Command{
		Use:   "compare A B...",
		Short: "Put the reports of several runs side by side: unavailability, losses, verdicts",
		Args:  cobra.MinimumNArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return o.run(args) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.format, "output", "o", "text", "text, json or html")
	f.StringVar(&o.out, "file", "", "write to this file")
	f.StringSliceVar(&o.names, "names", nil, "what the sides are called; else what they ran on, or their directories where that is the same")
	return cmd
}

// sameServer says whether two reports are of one kind of server, so that its name would tell
// nobody which is which.
func sameServer(reports []*report.Report) bool {
	seen := map[string]bool{}
	for _, r := range reports {
		if seen[r.Server()] {
			return true
		}
		seen[r.Server()] = true
	}
	return false
}

// directories names reports by where they lie: the last part of each path, or all of it
// where these are the same.
func directories(paths []string) (names []string) {
	for _, p := range paths {
		name := filepath.Base(p)
		if name == report.JSONName {
			name = filepath.Base(filepath.Dir(p))
		}
		if slices.Contains(names, name) {
			return paths
		}
		names = append(names, name)
	}
	return names
}

func (o *compareOptions) run(paths []string) error {
	write := map[string]func(*report.Comparison, io.Writer) error{"text": (*report.Comparison).Text, "json": (*report.Comparison).JSON, "html": (*report.Comparison).HTML}[o.format]
	if write == nil {
		return usagef("-o %q: give text, json or html", o.format)
	}
	if len(o.names) > len(paths) {
		return usagef("--names: %d names for %d reports", len(o.names), len(paths))
	}
	reports := make([]*report.Report, len(paths))
	for i, p := range paths {
		var err error
		if reports[i], err = readReport(p); err != nil {
			return err
		}
	}
	names := o.names
	if len(names) == 0 && sameServer(reports) {
		names = directories(paths)
	}
	c := report.Compare(names, reports...)
	if o.out == "" {
		return write(c, os.Stdout)
	}
	f, err := os.Create(o.out)
	if err != nil {
		return err
	}
	return errors.Join(write(c, f), f.Close())
}

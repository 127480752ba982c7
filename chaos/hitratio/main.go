package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

// Options say what is replayed.
type Options struct {
	Traces  string // folder; without traces in it, synthetic ones are made
	Only    string // traces with one of these names, separated by commas
	Spare   int    // bytes that the budget has for each object beside key and value
	Large   bool   // rows of at least largeObjects only
	Rivals  bool   // run other caches too
	Workers int
	Log     io.Writer
}

// errBars is when a bar was missed.
var errBars = errors.New("a bar was missed")

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "hitratio:", err)
		os.Exit(1)
	}
}

// run is main with its streams named.
func run(args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("hitratio", flag.ContinueOnError)
	flags.SetOutput(log)
	o := Options{Log: log}
	flags.StringVar(&o.Traces, "traces", os.Getenv("AEGIS_TRACES"), "folder of traces (AEGIS_TRACES); without one, synthetic traces")
	flags.StringVar(&o.Only, "only", "", "names of traces, separated by commas")
	flags.IntVar(&o.Spare, "spare", spareBytes, "bytes that the budget has for each object beside its key and value")
	flags.BoolVar(&o.Large, "large", false, "only rows of at least 6,400 objects")
	flags.BoolVar(&o.Rivals, "rivals", true, "replay through other caches too")
	flags.IntVar(&o.Workers, "workers", runtime.GOMAXPROCS(0), "replays at a time")
	form := flags.String("o", "text", "what is printed: text, json")
	picture := flags.String("png", "", "file to draw the table to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *form != "text" && *form != "json" {
		return fmt.Errorf("no form %q", *form)
	}
	r, err := measure(o)
	if err != nil {
		return err
	}
	return present(r, *form, *picture, out)
}

// present prints and draws a report; its error says whether the bars hold.
func present(r *Report, form, picture string, out io.Writer) error {
	show := r.text
	if form == "json" {
		show = r.json
	}
	if err := show(out); err != nil {
		return err
	}
	if picture != "" {
		if err := r.draw(picture); err != nil {
			return err
		}
	}
	if len(r.Missed) > 0 {
		return errBars
	}
	return nil
}

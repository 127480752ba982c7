package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/chaos/suite"
)

// screen shows how a run goes: a line that changes on a terminal, and a line for each
// scenario that has ended everywhere.
type screen struct {
	out      *os.File
	terminal bool
	all      int
	each     time.Duration
	atOnce   int

	mu    sync.Mutex
	ended int
	name  string
	begun time.Time
	wide  int
}

func newScreen(out *os.File, all int, each time.Duration, atOnce int) *screen {
	info, err := out.Stat()
	return &screen{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, all: all, each: each, atOnce: max(1, atOnce)}
}

// besides is what a scenario takes beside its faults: starting, resting, judging.
const besides = 10 * time.Second

func (s *screen) progress(p suite.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Scenario != s.name {
		s.name, s.begun = p.Scenario, time.Now()
	}
	if !s.terminal {
		return
	}
	fault := p.Fault
	if fault == "" {
		fault = "no fault"
	}
	left := max(0, s.each+besides-time.Since(s.begun)) + time.Duration(max(0, s.all-s.ended-s.atOnce))*(s.each+besides)/time.Duration(s.atOnce)
	s.show(fmt.Sprintf("[%d/%d] %s | %s (cycle %d) | %v left | %d ok, %d errors | without service %v",
		s.ended+1, s.all, p.Scenario, fault, p.Cycle+1, left.Round(time.Second), p.OK, p.Errors, p.Unserved.Round(10*time.Millisecond)))
}

// show writes the line that changes.
func (s *screen) show(line string) {
	line = fitting(line, columnsOf(s.out))
	n := utf8.RuneCountInString(line)
	pad := max(0, s.wide-n)
	s.wide = n
	fmt.Fprint(s.out, "\r"+line+strings.Repeat(" ", pad))
}

// fitting cuts a line so that a terminal does not wrap it: the next one could not be
// written over it then.
func fitting(line string, columns int) string {
	if columns <= 0 {
		columns = 80
	}
	if r := []rune(line); len(r) >= columns {
		return string(r[:max(0, columns-2)]) + "…"
	}
	return line
}

func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal && s.wide > 0 {
		s.show("")
		fmt.Fprint(s.out, "\r")
	}
}

func (s *screen) done(sc report.Scenario) {
	s.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	writeScenario(s.out, &sc)
}

// writeScenario writes what came out of one.
func writeScenario(w io.Writer, s *report.Scenario) {
	fmt.Fprintf(w, "%-13s %-21s %5.1f s  %d faults, %d ok, %d refused, %d unknown", s.Verdict, s.Name, s.Took.Seconds(), len(s.Faults),
		s.Operations.Before.OK+s.Operations.During.OK+s.Operations.After.OK,
		s.Operations.Before.Refused+s.Operations.During.Refused+s.Operations.After.Refused,
		s.Operations.Before.Unknown+s.Operations.During.Unknown+s.Operations.After.Unknown)
	for i := range s.Unavailability {
		u := &s.Unavailability[i]
		if d := u.Write(); d.Count > 0 {
			fmt.Fprintf(w, "; hit groups p50 %v p99 %v max %v (%d)", ms(d.P50), ms(d.P99), ms(d.Max), d.Count)
		}
		if d := u.Others(); d.Count > 0 {
			fmt.Fprintf(w, ", others max %v", ms(d.Max))
		}
	}
	fmt.Fprint(w, lossesOf(&s.Losses))
	fmt.Fprintln(w)
	if s.Reason != "" {
		fmt.Fprintf(w, "              %s\n", s.Reason)
	}
}

// lossesOf says what was acknowledged and what was lost of it.
func lossesOf(l *report.Losses) string {
	text := fmt.Sprintf("; acknowledged %d async, %d majority", l.Acked, l.AckedMajority)
	if l.Lost+l.LostMajority == 0 {
		return text + ", none lost"
	}
	n, d := l.Sizes(), l.Spans()
	return text + fmt.Sprintf(", lost and declared %d and %d; of a shard at once p50 %d p99 %d max %d writes, p50 %v p99 %v max %v",
		l.Lost, l.LostMajority, n.P50, n.P99, n.Max, ms(d.P50), ms(d.P99), ms(d.Max))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

package load

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// server answers RESP from a map; a test may come between.
type server struct {
	addr string
	mu   sync.Mutex
	data map[string]string
	hook func(args [][]byte) (reply string, taken bool) // "" closes the connection
}

func newServer(t *testing.T, hook func(args [][]byte) (string, bool)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &server{addr: l.Addr().String(), data: map[string]string{}, hook: hook}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	r := resp.NewReader(c, 1<<20)
	for {
		args, ok, err := r.Next()
		if err != nil || !ok && r.Fill() != nil {
			return
		}
		if !ok {
			continue
		}
		reply := s.answer(args)
		if _, err := io.WriteString(c, reply); err != nil || reply == "" {
			return
		}
	}
}

func (s *server) answer(args [][]byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hook != nil {
		if reply, taken := s.hook(args); taken {
			return reply
		}
	}
	switch strings.ToUpper(string(args[0])) {
	case "SET":
		s.data[string(args[1])] = string(args[2])
		return "+OK\r\n"
	case "GET":
		v, ok := s.data[string(args[1])]
		if !ok {
			return "$-1\r\n"
		}
		return fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
	case "INFO":
		return "$21\r\nredis_version:7.9.9\r\n\r\n"
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n"
	}
	return "-ERR This instance has cluster support disabled\r\n"
}

func small(addr string) Plan {
	p := DefaultPlan()
	p.Addrs, p.Keys, p.Conns, p.Duration, p.Ops = []string{addr}, 500, 4, 0, 2000
	return p
}

func unseen(Live) {}

func mustRun(t *testing.T, p Plan) *Result {
	t.Helper()
	r, err := Run(t.Context(), p, unseen)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryOperationIsCounted(t *testing.T) {
	s := newServer(t, nil)
	for _, native := range []bool{false, true} {
		p := small(s.addr)
		p.Native, p.Depth, p.Ops = native, 3, 2001
		if r := mustRun(t, p); r.Ops != 2001 || r.Misses == 0 || r.Server != "redis 7.9.9" {
			t.Errorf("native %v: %d operations, %d misses, of %q", native, r.Ops, r.Misses, r.Server)
		}
		if err := Preload(t.Context(), p, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if len(s.data) != p.Keys {
			t.Errorf("native %v: %d keys were written of %d", native, len(s.data), p.Keys)
		}
		if r := mustRun(t, p); r.Ops != 2001 || r.Misses != 0 || len(r.Errors) != 0 || r.Gets.Count+r.Sets.Count != 2001 {
			t.Errorf("native %v, all keys there: %+v", native, r)
		}
		s.mu.Lock()
		clear(s.data)
		s.mu.Unlock()
	}
}

// TestAStallIsChargedToAllWhoWouldHaveCome is what --rate is about: a closed loop sees a
// stall once for each connection, users see it for each request.
func TestAStallIsChargedToAllWhoWouldHaveCome(t *testing.T) {
	const stall = 400 * time.Millisecond
	stalled := func(rate int) int64 {
		n := 0
		s := newServer(t, func(args [][]byte) (string, bool) {
			if n++; n == 300 {
				time.Sleep(stall) // under the lock: everybody waits
			}
			return "", false
		})
		p := small(s.addr)
		p.Rate, p.Ops = rate, 1500
		r := mustRun(t, p)
		slow := int64(0)
		for _, c := range r.Histogram().Distribution() {
			if c.From >= int64(stall/4) {
				slow += c.Count
			}
		}
		return slow
	}
	if n := stalled(1000); n < 200 {
		t.Errorf("1000 op/s stood still for %v, and only %d operations were charged", stall, n)
	}
	if n := stalled(0); n < 1 || n > 50 {
		t.Errorf("without a rate %d operations were charged", n)
	}
}

func TestWhatNeverLeftIsSaid(t *testing.T) {
	s := newServer(t, func([][]byte) (string, bool) { time.Sleep(time.Millisecond); return "", false })
	p := small(s.addr)
	p.Rate, p.Ops, p.Duration = 20_000, 0, 300*time.Millisecond
	r := mustRun(t, p)
	if r.Unsent < 2000 || int(r.Unsent+r.Ops) < 5900 || int(r.Unsent+r.Ops) > 6100 {
		t.Errorf("of 6000 operations %d were answered and %d unsent", r.Ops, r.Unsent)
	}
	if !strings.Contains(strings.Join(r.remarks(), " "), "does not sustain") {
		t.Error("nobody says so")
	}
}

func TestRedirectsAreFollowedAndErrorsCounted(t *testing.T) {
	there := newServer(t, nil)
	here := newServer(t, func(args [][]byte) (string, bool) {
		if w := string(args[0]); w == "GET" || w == "SET" {
			return "-MOVED 1 " + there.addr + "\r\n", true
		}
		return "", false
	})
	if r := mustRun(t, small(here.addr)); r.Ops != 2000 || len(r.Errors) != 0 || r.Redirects == 0 || r.Redirects > 600 {
		t.Errorf("%d operations, %d redirects, errors %v", r.Ops, r.Redirects, r.Errors)
	}
	n := 0
	bad := newServer(t, func(args [][]byte) (string, bool) {
		if n++; n > 100 && n%100 == 0 {
			return "", true
		}
		if n > 100 && n%100 == 50 {
			return "-OOM no\r\n", true
		}
		return "", false
	})
	r := mustRun(t, small(bad.addr))
	if r.Errors["OOM"] < 5 || r.Errors["CONNECTION"] < 5 || int(r.Ops)+r.errors() != 2000 {
		t.Errorf("%d operations, errors %v", r.Ops, r.Errors)
	}
}

func TestALostServerAndABadPlanAreErrors(t *testing.T) {
	for _, native := range []bool{false, true} {
		p := small("127.0.0.1:1")
		p.Native = native
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := Run(ctx, p, unseen); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("native %v: %v", native, err)
		}
		cancel()
	}
	for _, spoil := range []func(p *Plan){
		func(p *Plan) { p.Addrs = nil }, func(p *Plan) { p.Keys = 0 }, func(p *Plan) { p.Conns = 0 }, func(p *Plan) { p.Depth = 0 },
		func(p *Plan) { p.SizeMax = 1 << 40 }, func(p *Plan) { p.Ops = 0 }, func(p *Plan) { p.Rate = -1 },
		func(p *Plan) { p.TTL = -time.Second }, func(p *Plan) { p.TTL = time.Microsecond },
	} {
		p := small("127.0.0.1:1")
		spoil(&p)
		if p.Check() == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}

// TestResultsInFiles: what is written is read, compared and drawn.
func TestResultsInFiles(t *testing.T) {
	s := newServer(t, nil)
	p := small(s.addr)
	r := mustRun(t, p)
	var hdr, text, table, plot bytes.Buffer
	if err := errors.Join(r.WriteHDR(&hdr), r.Text(&text)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(hdr.String(), "1/(1-Percentile)") || !strings.Contains(text.String(), "2000 operations") || !strings.Contains(text.String(), "as fast as answered") {
		t.Errorf("%s\n%s", hdr.String(), text.String())
	}
	name := filepath.Join(t.TempDir(), "a<b>.json")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.JSON(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := ReadResult(name)
	if err != nil || a.Ops != r.Ops || len(a.All.Curve) < 5 || a.Plan.Keys != p.Keys {
		t.Fatalf("%+v %v", a, err)
	}
	if err := errors.Join(Compare(&table, a, r), Plot(&plot, a, r)); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)p99 us +\d+ +\d+ +1\.00`).Match(table.Bytes()) {
		t.Errorf("a run beside itself:\n%s", table.String())
	}
	checkSVG(t, plot.Bytes())
	if _, err := ReadResult(os.Args[0]); err == nil {
		t.Error("any file is taken for a result")
	}
}

// checkSVG wants well-formed XML whose lines stay inside.
func checkSVG(t *testing.T, b []byte) {
	t.Helper()
	d, lines := xml.NewDecoder(bytes.NewReader(b)), 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		e, ok := tok.(xml.StartElement)
		if !ok || e.Name.Local != "polyline" {
			continue
		}
		lines++
		for _, at := range e.Attr {
			if at.Name.Local != "points" {
				continue
			}
			for pair := range strings.FieldsSeq(at.Value) {
				xs, ys, _ := strings.Cut(pair, ",")
				x, err1 := strconv.ParseFloat(xs, 64)
				y, err2 := strconv.ParseFloat(ys, 64)
				if err1 != nil || err2 != nil || x < panelLeft-1 || x > panelLeft+panelWidth+1 || y < 0 || y > 2*panelRoom+62 {
					t.Errorf("a point at %s", pair)
				}
			}
		}
	}
	if lines != 4 {
		t.Errorf("%d lines, want 4", lines)
	}
}

// TestAFillThatCannotEndGivesUp: no node takes the values; every worker tried a hundred
// times, a hundred large values each.
func TestAFillThatCannotEndGivesUp(t *testing.T) {
	var asked atomic.Int64
	full := newServer(t, func([][]byte) (string, bool) {
		asked.Add(1)
		return "-OOM value larger than this node can hold\r\n", true
	})
	p := small(full.addr)
	err := Preload(t.Context(), p, func(int) {})
	if most := int64(p.Keys * (oomTries + 1)); err == nil || !strings.Contains(err.Error(), "OOM") || asked.Load() > most {
		t.Errorf("%v after %d requests, want at most %d", err, asked.Load(), most)
	}
}

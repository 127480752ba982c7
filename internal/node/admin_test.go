package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// newWatched is a lone node with an admin port.
func newWatched(t *testing.T, mode wal.Mode) *lone {
	t.Helper()
	l := newLone(t, mode)
	l.cfg.AdminAddr = freePorts(t, 1)[0]
	return l
}

// page asks the admin port.
func (l *lone) page(t *testing.T, path string) (code int, body string) {
	t.Helper()
	r, err := http.Get("http://" + l.cfg.AdminAddr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// answers wants a code and words from a page.
func (l *lone) answers(t *testing.T, path string, code int, words ...string) {
	t.Helper()
	got, body := l.page(t, path)
	if got != code {
		t.Errorf("%s answers %d %q, want %d", path, got, body, code)
	}
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("%s answers %q, which lacks %q", path, body, w)
		}
	}
}

// ready waits until clients may come.
func (l *lone) ready(t *testing.T) {
	t.Helper()
	until(t, "clients may come", func() bool { code, _ := l.page(t, "/readyz"); return code == 200 })
}

// fieldsOf are the fields that INFO has now; those with a number have words.
func fieldsOf(t *testing.T, n *Node) (names []string) {
	t.Helper()
	for _, s := range n.redis.Info() {
		for _, f := range s.Fields {
			names = append(names, f[0])
			_, known := described[f[0]]
			manifold := slices.ContainsFunc(series, func(s fieldSeries) bool { return strings.HasPrefix(f[0], s.prefix) })
			if _, number := measured(f[1]); number && !known && !manifold && !slices.Contains(unmeasured, f[0]) {
				t.Errorf("the figure %s has no words", f[0])
			}
		}
	}
	return names
}

// TestProbesThroughTheLifeOfANode: it waits for others, reads its log, serves, stands
// still, and leaves. What it waits for is no reason to start it again, and nobody is sent
// to a node that is about to hand its leases over.
func TestProbesThroughTheLifeOfANode(t *testing.T) {
	l := newWatched(t, wal.Write)
	l.cfg.Seeds, l.cfg.Expect = freePorts(t, 1), 2
	heard := make(chan string, 2) // what it answers just before it hands its leases over
	seen, _ := observer.New(zap.InfoLevel)
	log := zap.New(seen, zap.Hooks(func(e zapcore.Entry) error {
		if strings.HasPrefix(e.Message, "leaving") {
			_, why := l.page(t, "/readyz")
			heard <- why
		}
		return nil
	}))
	begin := func() {
		t.Helper()
		var err error
		if l.node, err = New(l.cfg, log); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	l.run()
	l.answers(t, "/livez", 200, "ok")
	l.answers(t, "/readyz", 503, "waits for its cluster")
	l.answers(t, "/readyz?verbose", 503, "[-] begun: this node waits", "[+] stays")
	l.answers(t, "/status", 503, "waits for its cluster")
	l.answers(t, "/metrics", 200, `aegis_node_info{name="n1",node="0",version="`+Version+`"} 1`, "go_goroutines ")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}

	l.cfg.Seeds, l.cfg.Expect = nil, 0
	l.start(t)
	l.ready(t)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	begin()
	gate := make(chan struct{})
	l.node.durable.fs = gated{l.node.durable.fs, gate}
	l.run()
	until(t, "it reads its log", func() bool {
		_, why := l.page(t, "/readyz")
		return strings.Contains(why, "reading its write-ahead log")
	})
	l.answers(t, "/livez", 200, "ok")
	l.answers(t, "/status", 503, "reading its write-ahead log")
	l.answers(t, "/metrics", 200, "\naegis_loading 1\n", `node="1"`)
	names := fieldsOf(t, l.node)
	close(gate)
	l.ready(t)
	l.answers(t, "/readyz?verbose", 200, "[+] begun\n[+] stays\n[+] loop\n[+] member\n[+] map\n")
	l.answers(t, "/livez", 200, "ok")
	l.answers(t, "/status", 200, `"verdict":"`, `"name":"n1"`)
	names = append(names, fieldsOf(t, l.node)...)
	for name := range described {
		if !slices.Contains(names, name) {
			t.Errorf("INFO has no %s, neither while the log is read nor later", name)
		}
	}
	l.standsStill(t)
	l.ready(t)
	l.cancel()
	if err := <-l.ended; err != nil {
		t.Error(err)
	}
	close(heard)
	if why := <-heard; !strings.Contains(why, "this node is ending") {
		t.Errorf("before its leases are handed over it answers %q", why)
	}
	if _, err := http.Get("http://" + l.cfg.AdminAddr + "/livez"); err == nil {
		t.Error("the admin port answers after the end of the node")
	}
}

// standsStill stops the loop of a node that serves, and lets it go on.
func (l *lone) standsStill(t *testing.T) {
	t.Helper()
	stopped, goOn := make(chan struct{}), make(chan struct{})
	go func() {
		_ = l.node.host.Do(context.Background(), func(multiraft.Instant) {
			close(stopped)
			<-goOn
		})
	}()
	<-stopped
	l.answers(t, "/livez", 503, "loop has not answered within 1s")
	l.answers(t, "/readyz?verbose", 503, "[-] loop: the node's loop has not answered within 1s")
	close(goOn)
}

// figure reads one of the figures, 0 when it is not there.
func (l *lone) figure(t *testing.T, name string) float64 {
	t.Helper()
	_, body := l.page(t, "/metrics")
	for line := range strings.Lines(body) {
		if of, value, _ := strings.Cut(strings.TrimSpace(line), " "); of == name {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

var figureLine = regexp.MustCompile(`^(aegis|go|process)_[a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+$`)

// TestMetrics: the figures follow what clients do, and are what a scraper can read.
func TestMetrics(t *testing.T) {
	l := newWatched(t, wal.Off)
	r := l.start(t)
	l.ready(t)
	defer func() { _ = l.stop() }()
	r.pipeline(1, "", "GET", "nothing")
	r.until(t, "$-1\r\n")
	misses, hits := l.figure(t, "aegis_keyspace_misses"), l.figure(t, "aegis_keyspace_hits")
	if misses == 0 || hits != 0 {
		t.Errorf("%v misses and %v hits after a read of nothing", misses, hits)
	}
	for _, words := range [][]string{{"SET", "a", "1"}, {"GET", "a"}, {"GET", "a"}, {"GET", "b"}, {"NONSENSE"}} {
		r.say(t, words...)
	}
	for name, want := range map[string]float64{
		"aegis_keyspace_misses": misses + 1, "aegis_keyspace_hits": 2, `aegis_command_calls{command="set"}`: 1,
		`aegis_error_replies{error="ERR"}`: 1, "aegis_keys": 1, "aegis_groups_held": 4, "aegis_connected_clients": 1, "aegis_maxmemory": memoryMin,
	} {
		if got := l.figure(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	_, body := l.page(t, "/metrics")
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(strings.NewReplacer("{", " ", "_sum ", " ", "_count ", " ").Replace(line), " ")
		switch {
		case strings.HasPrefix(line, "#"):
		case !figureLine.MatchString(line), strings.Contains(line, "aegis_aegis"):
			t.Errorf("a figure that cannot be read: %q", line)
		case !strings.Contains(body, "# HELP "+name+" ") || !strings.Contains(body, "# TYPE "+name+" "):
			t.Errorf("%s has no help or no type", name)
		}
	}
	if !strings.Contains(body, "# TYPE aegis_keyspace_hits counter\n") || !strings.Contains(body, "# TYPE aegis_used_memory gauge\n") {
		t.Error("counters and gauges are not told apart")
	}
}

// TestMetricsTellAHalt: a halt that was forgotten is seen by who looks at figures only, also
// after the node has started again.
func TestMetricsTellAHalt(t *testing.T) {
	l := newWatched(t, wal.Off)
	l.start(t)
	l.ready(t)
	told := func(want float64) {
		t.Helper()
		until(t, "the figure follows", func() bool { return l.figure(t, "aegis_rebalance_halted") == want })
	}
	halt := func(on bool) {
		t.Helper()
		if _, err := l.node.Halt(on); err != nil {
			t.Fatal(err)
		}
	}
	l.answers(t, "/metrics", 200, "\n# TYPE aegis_rebalance_halted gauge\naegis_rebalance_halted 0\n")
	halt(true)
	told(1)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.start(t)
	l.ready(t)
	told(1)
	halt(false)
	told(0)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAdminRefusals: the port changes nothing and takes nothing large.
func TestAdminRefusals(t *testing.T) {
	l := newWatched(t, wal.Off)
	l.start(t)
	l.ready(t)
	defer func() { _ = l.stop() }()
	for _, c := range []struct {
		method, path string
		header       int // bytes
		code         int
	}{
		{http.MethodHead, "/", 0, 200},
		{http.MethodHead, "/livez", 0, 200},
		{http.MethodHead, "/metrics", 0, 200},
		{http.MethodPost, "/status", 0, 405},
		{http.MethodPut, "/metrics", 0, 405},
		{http.MethodDelete, "/readyz", 0, 405},
		{http.MethodGet, "/nothing", 0, 404},
		{http.MethodGet, "/debug/pprof/", 0, 404},
		{http.MethodGet, "/livez", 4 << 10, 200},
		{http.MethodGet, "/livez", 64 << 10, 431},
	} {
		q, err := http.NewRequest(c.method, "http://"+l.cfg.AdminAddr+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Long", strings.Repeat("x", c.header))
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.code || c.method == http.MethodHead && len(body) > 0 {
			t.Errorf("%s %s with a header of %d bytes: %d and %d bytes, want %d", c.method, c.path, c.header, r.StatusCode, len(body), c.code)
		}
	}
	l.answers(t, "/", 200, "/livez", "/readyz", "/metrics", "/status", "node n1")
}

// TestOnlySoManyAtOnce: one more than a page takes is refused, and its place is free
// when another one is done.
func TestOnlySoManyAtOnce(t *testing.T) {
	begun, done := make(chan struct{}), make(chan struct{})
	page := atMost(2, func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-done })
	ask := func() int {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code
	}
	codes := make(chan int)
	for range 2 {
		go func() { codes <- ask() }()
		<-begun
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("a third is answered %d", got)
	}
	done <- struct{}{}
	<-codes
	go func() { codes <- ask() }()
	select {
	case <-begun:
	case code := <-codes:
		t.Fatal(fmt.Sprint("a place that is free is refused with ", code))
	case <-time.After(2 * time.Minute):
		t.Fatal("nobody gets the free place")
	}
	close(done)
	<-codes
	<-codes
}

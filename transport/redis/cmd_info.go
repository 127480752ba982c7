package redis

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// infoOrder is the order of the sections in Redis; others follow.
var infoOrder = []string{"Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Commandstats", "Errorstats", "Latencystats", "Cluster", "Keyspace"}

// infoAsked are the sections that are shown only to who asks for them, or for all.
var infoAsked = []string{"Commandstats", "Latencystats"}

func cmdInfo(c *conn, args [][]byte) {
	want := map[string]bool{}
	for _, a := range args[1:] {
		want[strings.ToLower(string(a))] = true
	}
	all := want["all"] || want["everything"]
	usual := len(want) == 0 || want["default"]
	var b strings.Builder
	for _, s := range c.infoSections() {
		if !all && !want[strings.ToLower(s.Name)] && (!usual || slices.Contains(infoAsked, s.Name)) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", s.Name)
		for _, f := range s.Fields {
			fmt.Fprintf(&b, "%s:%s\r\n", f[0], f[1])
		}
	}
	c.out = resp.AppendVerbatim(c.out, c.sess.Proto, b.String())
}

// infoSections is Info for a client: with the port it has come to, and what it takes the
// server for.
func (c *conn) infoSections() []InfoSection {
	all := c.srv.info(c.mode(), c.localPort())
	if c.gateway() {
		standalone(all)
	}
	return all
}

// Info lists all sections of INFO, in the order of Redis, for who is no client: without a
// port.
func (s *Server) Info() []InfoSection { return s.info(modeCluster, "") }

// info puts the face's own figures before the Backend's, in the order of Redis.
func (s *Server) info(mode, port string) []InfoSection {
	all := mergeSections(s.ownSections(mode, port), s.backend.Info())
	place := func(i InfoSection) int {
		if at := slices.Index(infoOrder, i.Name); at >= 0 {
			return at
		}
		return len(infoOrder)
	}
	slices.SortStableFunc(all, func(a, b InfoSection) int { return place(a) - place(b) })
	return all
}

func (s *Server) ownSections(mode, port string) []InfoSection {
	up := time.Since(s.started)
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return []InfoSection{
		{"Server", [][2]string{
			{"redis_version", redisVersion},
			{"aegis_version", s.cfg.Version},
			{"redis_mode", mode},
			{"os", runtime.GOOS + " " + runtime.GOARCH},
			{"arch_bits", strconv.Itoa(strconv.IntSize)},
			{"process_id", strconv.Itoa(os.Getpid())},
			{"tcp_port", port},
			{"uptime_in_seconds", strconv.Itoa(int(up.Seconds()))},
			{"uptime_in_days", strconv.Itoa(int(up.Hours() / 24))},
		}},
		{"Clients", [][2]string{
			{"connected_clients", strconv.Itoa(s.Clients())},
			{"maxclients", strconv.Itoa(s.cfg.ClientsMax)},
			{"blocked_clients", strconv.FormatInt(s.blocked.Load(), 10)},
			{"tracking_clients", strconv.Itoa(s.tracker.trackers())},
		}},
		{"Stats", [][2]string{
			{"total_connections_received", strconv.FormatInt(s.accepted.Load(), 10)},
			{"total_commands_processed", n(s.commands.Load() - s.commandsBefore.Load())},
			{"total_error_replies", n(s.errors.all.Load())},
			{"rejected_connections", strconv.FormatInt(s.refused.Load(), 10)},
			{"evicted_clients", strconv.FormatInt(s.evicted.Load(), 10)},
			{"tracking_total_keys", strconv.FormatInt(s.Tracked(), 10)},
			{"tracking_total_items", strconv.FormatInt(s.tracker.items(), 10)},
			{"tracking_total_prefixes", strconv.Itoa(s.tracker.prefixes())},
			{"aegis_forwarded_commands", strconv.FormatInt(s.forwarded.Load(), 10)},
			{"aegis_forwarded_again", strconv.FormatInt(s.forwardedAgain.Load(), 10)},
			{"aegis_forwarded_lost", strconv.FormatInt(s.forwardedLost.Load(), 10)},
		}},
		{"CPU", cpuFields()},
		{"Modules", nil},
		{"Commandstats", s.table.stats()},
		{"Errorstats", s.errors.fields()},
		{"Latencystats", s.table.latencies()},
	}
}

// stats are the counters in the form of INFO commandstats, sorted by name.
func (t *table) stats() (fields [][2]string) {
	for _, name := range t.everyName() {
		c := t.findAny(name)
		calls, rejected := c.calls.Load(), c.rejected.Load()
		if calls+rejected == 0 {
			continue
		}
		micros := float64(c.nanos.Load()) / 1000
		fields = append(fields, [2]string{"cmdstat_" + name, fmt.Sprintf("calls=%d,usec=%.0f,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, micros, micros/float64(max(1, calls)), rejected, c.failed.Load())})
	}
	return fields
}

// latencies are times that half, 99 and 99.9 percent of the calls were not longer than.
func (t *table) latencies() (fields [][2]string) {
	for _, name := range t.everyName() {
		h := t.findAny(name).times.Load()
		if h == nil {
			continue
		}
		p := h.percentiles(50, 99, 99.9)
		fields = append(fields, [2]string{"latency_percentiles_usec_" + name, fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f", micros(p[0]), micros(p[1]), micros(p[2]))})
	}
	return fields
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// mergeSections appends the fields of sections with equal names.
func mergeSections(a, b []InfoSection) []InfoSection {
	for _, s := range b {
		merged := false
		for i := range a {
			if a[i].Name == s.Name {
				a[i].Fields = append(a[i].Fields, s.Fields...)
				merged = true
			}
		}
		if !merged {
			a = append(a, s)
		}
	}
	return a
}

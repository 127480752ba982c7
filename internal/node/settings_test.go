package node

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// files is a ReadFile over a map; a machine of 64 GiB unless it says otherwise.
func files(m map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if s, ok := m[name]; ok {
			return []byte(s), nil
		}
		if name == "/proc/meminfo" {
			return []byte("MemTotal:       67108864 kB\n"), nil
		}
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
}

func load(t *testing.T, s Sources) *Loaded {
	t.Helper()
	if s.ReadFile == nil {
		s.ReadFile = files(nil)
	}
	c, err := LoadConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused loads and demands an error that holds every given part.
func refused(t *testing.T, s Sources, parts ...string) {
	t.Helper()
	if s.ReadFile == nil {
		s.ReadFile = files(nil)
	}
	c, err := LoadConfig(s)
	if err == nil {
		t.Errorf("%v %v %q were accepted as %+v", s.Flags, s.Environ, s.File, c)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q does not say %q", err, p)
		}
	}
}

func file(body string) Sources {
	return Sources{File: "a.json", ReadFile: files(map[string]string{"a.json": body})}
}

func flags(pairs ...string) Sources {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return Sources{Flags: m}
}

func TestDefaultsAreThePublishedOnes(t *testing.T) {
	c := load(t, Sources{})
	for key, want := range map[string]string{
		"nodeId": "", "clientAddr": ":7000", "clusterAddr": ":7001", "gossipAddr": ":7002", "gatewayAddr": ":7003", "adminAddr": "127.0.0.1:7004", "seedNodes": "", "walMode": "off",
		"walDir": "./data/wal", "dataDir": "./data", "replicationFactor": "3", "virtualNodes": "100", "numShards": "256",
		"numGroups": "64", "maxMemoryBytes": "1GiB", "leaseProfile": "default", "ack": "async", "recovery": "available", "solo": "accept",
	} {
		row, ok := settingOf(key)
		if !ok {
			t.Errorf("no setting is called %s", key)
			continue
		}
		if got := row.write(c); got != want {
			t.Errorf("%s is %q by default, want %q", key, got, want)
		}
		if c.Stated[key] || c.Origin(key) != "default" {
			t.Errorf("%s counts as stated (%s) in a configuration that states nothing", key, c.Origin(key))
		}
	}
	if c.MaxMemoryBytes != 1073741824 {
		t.Errorf("the default memory is %d", c.MaxMemoryBytes)
	}
}

func TestEverySettingHasItsPublishedSpellings(t *testing.T) {
	for key, want := range map[string][3]string{
		"nodeId":         {"id", "node-id", "AEGIS_NODE_ID"},
		"seedNodes":      {"seeds", "seed-nodes", "AEGIS_SEED_NODES"},
		"walMode":        {"wal", "wal-mode", "AEGIS_WAL_MODE"},
		"maxMemoryBytes": {"max-memory-bytes", "max-memory-bytes", "AEGIS_MAX_MEMORY_BYTES"},
		"clientAddr":     {"client-addr", "client-addr", "AEGIS_CLIENT_ADDR"},
	} {
		row, _ := settingOf(key)
		if got := [3]string{row.Flag(), row.Kebab(), row.Env()}; got != want {
			t.Errorf("%s is spelt %v, want %v", key, got, want)
		}
	}
	taken := make(map[string]bool)
	for _, row := range Settings() {
		for _, name := range slices.Compact([]string{row.Flag(), row.Kebab()}) {
			if taken[name] || name == "config" {
				t.Errorf("--%s means two things", name)
			}
			taken[name] = true
		}
		if row.Help == "" || row.Unit == "" || row.Change == "" {
			t.Errorf("%s lacks help, unit or change", row.Key)
		}
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	s := file(`{"maxMemoryBytes": "2GiB", "numShards": 128, "dataDir": "/f"}`)
	s.Environ = []string{"AEGIS_NUM_SHARDS=64", "AEGIS_DATA_DIR=/e", "HOME=/root", "AEGIS_SOLO="}
	s.Flags = map[string]string{"data-dir": "/g"}
	c := load(t, s)
	if c.MaxMemoryBytes != 2<<30 || c.NumShards != 64 || c.DataDir != "/g" {
		t.Errorf("got memory %d, %d shards, data %s", c.MaxMemoryBytes, c.NumShards, c.DataDir)
	}
	for key, want := range map[string]string{
		"maxMemoryBytes": "a.json:1:2", "numShards": "environment AEGIS_NUM_SHARDS", "dataDir": "--data-dir", "solo": "default",
	} {
		if got := c.Origin(key); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
		if c.Stated[key] != (want != "default") {
			t.Errorf("%s stated: %v, from %s", key, c.Stated[key], want)
		}
	}
	if c.NumGroups != 64 || load(t, flags("num-shards", "16")).NumGroups != 16 {
		t.Errorf("the groups do not follow the shards")
	}
}

func TestSeedsAreAListOrAnArray(t *testing.T) {
	want := []string{"a:7002", "[::1]:7012"}
	for name, s := range map[string]Sources{
		"flag":        flags("seeds", "a:7002, [::1]:7012,a:7002"),
		"array":       {Environ: []string{`AEGIS_SEED_NODES=["a:7002","[::1]:7012"]`}},
		"comma list":  {Environ: []string{`AEGIS_SEED_NODES=a:7002,[::1]:7012`}},
		"file array":  file(`{"seedNodes": ["a:7002", "[::1]:7012"]}`),
		"file string": file(`{"seedNodes": "a:7002,[::1]:7012"}`),
	} {
		if got := load(t, s).Seeds; !slices.Equal(got, want) {
			t.Errorf("%s gives the seeds %q, want %q", name, got, want)
		}
	}
	if got := load(t, Sources{Environ: []string{"AEGIS_SEED_NODES=[]"}}).Seeds; len(got) != 0 {
		t.Errorf("an empty array gives the seeds %q", got)
	}
	refused(t, flags("seeds", "a"), "--seeds", `"a" is not an address`)
	refused(t, flags("seeds", ":7002"), "localhost:7002")
	refused(t, flags("seeds", "a:7002,"), "not an address")
	refused(t, file(`{"seedNodes": [1]}`), "a.json:1:", "not an address in quotes")
}

func TestWALModes(t *testing.T) {
	for _, s := range []Sources{flags("wal", "off"), flags("wal-mode", "0"), file(`{"walMode": 0}`), file(`{"walMode": "off"}`)} {
		if c := load(t, s); c.WAL != wal.Off || !c.Stated["walMode"] {
			t.Errorf("%v: WAL mode %v", s, c.WAL)
		}
	}
	for want, sources := range map[wal.Mode][]Sources{
		wal.Write: {flags("wal", "write"), file(`{"walMode": 1}`)},
		wal.Fsync: {flags("wal", "fsync"), {Environ: []string{"AEGIS_WAL_MODE=2"}}},
	} {
		for _, s := range sources {
			if c := load(t, s); c.WAL != want {
				t.Errorf("%v: WAL mode %v", s, c.WAL)
			}
		}
	}
	if c := load(t, flags("accept-data-loss", "on")); !c.AcceptDataLoss {
		t.Error("--accept-data-loss is not heard")
	}
	refused(t, flags("accept-data-loss", "yes"), "off", "on")
	refused(t, flags("wal", "fsyncc"), `unknown WAL mode "fsyncc"`, `nearest is "fsync"`)
	if c := load(t, flags("ack", "majority+fsync")); c.AckLevel != "majority+fsync" {
		t.Errorf("--ack majority+fsync is heard as %q", c.AckLevel)
	}
	refused(t, flags("ack", "majority+fsyncs"), "majority")
	refused(t, flags("ack", "mayority"), `nearest is "majority"`)
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	refused(t, flags("client-adr", ":1"), "unknown flag --client-adr", "--client-addr")
	refused(t, Sources{Environ: []string{"AEGIS_CLIENT_ADR=:1"}}, "unknown environment variable AEGIS_CLIENT_ADR", "AEGIS_CLIENT_ADDR")
	refused(t, Sources{Environ: []string{"AEGIS_CONFIG=a.json"}}, "unknown environment variable")
	refused(t, file("{\n  \"numShards\": 256,\n  \"numShard\": 4\n}"), "a.json:3:3: ", `unknown key "numShard"`, `nearest is "numShards"`)
	refused(t, file("{\"NumShards\": 256}"), "unknown key", `"numShards"`)
	refused(t, file("{\n \"numShards\": 1e3}"), "a.json:2:2: ", "not a number", "numShards")
	refused(t, file("{\"solo\": \"accept\",\n\"solo\": \"reject\"}"), "a.json:2:1: ", "twice")
	refused(t, file("{\"solo\": 1}"), "a.json:1:10: ", "solo takes accept|reject")
	refused(t, file("{\"solo\": null}"), "solo takes")
	refused(t, file("{\"nodeId\": 7}"), "nodeId takes")
	refused(t, file("{\"numShards\": {}}"), "numShards takes")
	refused(t, file("{\"numShards\": 4,}"), "a.json:1:")
	refused(t, file("{\n\"numShards\": 4"), "a.json:2:15: ", "too early")
	refused(t, file("{} {}"), "a.json:1:4: ", "follows")
	for _, other := range []string{"[]", "clientAddr: \":7000\"\n", "# words\nclientAddr = \":7000\"\n", "---\nclientAddr: x\n", "[node]\nx = 1\n"} {
		refused(t, file(other), "a.json:1:1: ", "one JSON object", "YAML and TOML are not read")
	}
	refused(t, file(""), "a.json:1:1: ", "too early")
	refused(t, Sources{File: "absent.json"}, "absent.json", "--config")
	refused(t, flags("id", "a", "node-id", "b"), "two spellings")
	refused(t, Sources{Flags: map[string]string{"num-shards": "8"}, Environ: []string{"AEGIS_NUM_SHARDS=x"}}, "AEGIS_NUM_SHARDS")
}

func TestServiceVariablesOfKubernetesAreNoMistakes(t *testing.T) {
	load(t, Sources{Environ: []string{
		"AEGIS_SERVICE_HOST=10.0.0.1", "AEGIS_SERVICE_PORT=7000", "AEGIS_SERVICE_PORT_CLIENT=7000", "AEGIS_PORT=tcp://10.0.0.1:7000",
		"AEGIS_PORT_7000_TCP=tcp://10.0.0.1:7000", "AEGIS_PORT_7000_TCP_ADDR=10.0.0.1", "AEGIS_CACHE_SERVICE_HOST=10.0.0.1", ToolVariable + "=localhost:7000", "AEGIS_TEST_ALL=1", "AEGIS_TEST_KILLS=30",
	}})
}

func TestNodeIDs(t *testing.T) {
	for _, id := range []string{"node1", "a", "7", "eu-west.cache_1", "walnut", "port-x"} {
		if c := load(t, flags("id", id)); c.ID != id {
			t.Errorf("id %q became %q", id, c.ID)
		}
	}
	for _, id := range []string{"", "wal", "WAL", "port-7000", ".", "..", "../x", "a/b", "-a", "a b", "é", strings.Repeat("a", 64)} {
		refused(t, flags("id", id), "--id", "name a node")
	}
}

func TestAddresses(t *testing.T) {
	for client, cluster := range map[string]string{":7010": ":7011", "[::1]:7000": "[::1]:7001", "10.0.0.1:1": "10.0.0.1:2"} {
		if c := load(t, flags("client-addr", client)); c.ClusterAddr != cluster || c.GossipAddr != ":7002" {
			t.Errorf("with --client-addr %s the cluster address is %s and gossip %s", client, c.ClusterAddr, c.GossipAddr)
		}
	}
	for _, a := range []string{"", "7000", ":0", ":65536", ":http", "::1:7000", "a b:1", "http://a:1", "a/b:1"} {
		refused(t, flags("client-addr", a), "--client-addr", a)
	}
	refused(t, flags("client-addr", ":65535"), "--cluster-addr")
	refused(t, flags("client-addr", ":7001"), "same port", "--gossip-addr")
	refused(t, flags("gossip-addr", "127.0.0.1:7000"), "same port", "--client-addr")
	load(t, flags("client-addr", "127.0.0.1:7000", "gossip-addr", "127.0.0.2:7000"))
	refused(t, flags("advertise", "host:7000"), "--advertise")
	if c := load(t, flags("advertise", "::1")); c.Advertise != "::1" {
		t.Errorf("advertise became %q", c.Advertise)
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"1073741824": 1 << 30, "4GiB": 4 << 30, "512MiB": 512 << 20, "512 MiB": 512 << 20, "1TB": 1e12, "67108864B": 64 << 20} {
		stated := flags("max-memory-bytes", s)
		stated.ReadFile = files(map[string]string{"/proc/meminfo": ""})
		if c := load(t, stated); c.MaxMemoryBytes != want {
			t.Errorf("%s is %d bytes, want %d", s, c.MaxMemoryBytes, want)
		}
	}
	for _, s := range []string{"", "-1", "1.5GiB", "4gib", "GiB", "99999999999999999999", "9999999TiB", "1MiB", "4G"} {
		refused(t, flags("max-memory-bytes", s), "--max-memory-bytes")
	}
	for n, want := range map[int64]string{1 << 30: "1GiB", 1 << 20: "1MiB", 1000: "1000", 1 << 40: "1TiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestDefaultMemoryFitsTheMachine(t *testing.T) {
	small := files(map[string]string{"/proc/meminfo": "MemFree: 1 kB\nMemTotal: 1048576 kB\n"})
	cgroup := files(map[string]string{"/sys/fs/cgroup/memory.max": "536870912\n"})
	unlimited := files(map[string]string{"/sys/fs/cgroup/memory.max": "max\n"})
	for want, read := range map[int64]func(string) ([]byte, error){1 << 30 / 10 * 6: small, 512 << 20 / 10 * 6: cgroup, 1 << 30: unlimited} {
		if c := load(t, Sources{ReadFile: read}); c.MaxMemoryBytes != want {
			t.Errorf("the default is %d, want %d", c.MaxMemoryBytes, want)
		}
	}
}

func TestValuesMustFitEachOther(t *testing.T) {
	refused(t, flags("num-shards", "100"), "power of two", "64")
	refused(t, flags("num-shards", "32768"), "from 1 to 16384")
	refused(t, flags("num-shards", "16", "num-groups", "32"), "must divide")
	refused(t, flags("num-groups", "3"), "must divide")
	refused(t, flags("replication-factor", "8"), "from 1 to 7")
	refused(t, flags("expect", "3"), "without --seeds")
	load(t, flags("expect", "3", "seeds", "localhost:7002"))
	refused(t, flags("lease-profile", "fats"), `nearest is "fast"`)
}

// FuzzConfigFile: any file is a configuration or an error that starts with its place.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"numShards": 4, "seedNodes": ["a:1"]}`, `{"numShards": 4,}`, `{"walMode": 1}`, `[`, `{"x": {"y": [1,2,{}]}}`, "{\n\"id\"", "\xff", `{"seedNodes": ["a:1", null]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := parseFile(b)
		if err != nil {
			var line, column int
			if n, scanErr := fmt.Sscanf(err.Error(), "%d:%d:", &line, &column); n != 2 || scanErr != nil || line < 1 || column < 1 {
				t.Fatalf("the error %q names no place", err)
			}
			return
		}
		c := &Loaded{}
		for _, v := range values {
			if err := v.row.read(c, v.text); err != nil && errors.Unwrap(err) == nil && err.Error() == "" {
				t.Fatalf("%s: an error without words", v.row.Key)
			}
		}
	})
}

func TestTheRateOfFillsIsASizeOrOff(t *testing.T) {
	for word, want := range map[string]int64{"off": 0, "65536": 64 << 10, "100MiB": 100 << 20} {
		c := load(t, flags("fill-bytes-per-second", word))
		if c.FillRate != want || c.Text("fillBytesPerSecond") == "" {
			t.Errorf("%s is %d, written %q", word, c.FillRate, c.Text("fillBytesPerSecond"))
		}
	}
	for word, want := range map[string]int{"1": 1, "250": 250, "off": 0} {
		if c := load(t, flags("fill-core-percent", word)); c.FillPercent != want || c.Text("fillCorePercent") != word {
			t.Errorf("%s is %d, written %q", word, c.FillPercent, c.Text("fillCorePercent"))
		}
	}
	for _, word := range []string{"0", "-1", "25%", "1e9"} {
		if _, err := LoadConfig(flags("fill-core-percent", word)); err == nil || !strings.Contains(err.Error(), "like 25") {
			t.Errorf("%s: %v", word, err)
		}
	}
	if c := load(t, Sources{}); c.FillRate != 0 || c.Text("fillBytesPerSecond") != "off" {
		t.Errorf("by default it is %d, %q", c.FillRate, c.Text("fillBytesPerSecond"))
	}
	for _, word := range []string{"0", "64KB", "fast", "-1"} {
		if _, err := LoadConfig(flags("fill-bytes-per-second", word)); err == nil || !strings.Contains(err.Error(), "like 100MiB") {
			t.Errorf("%s: %v", word, err)
		}
	}
}

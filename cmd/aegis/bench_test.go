package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/internal/node"
)

// TestBenchOnACluster: both ways to speak, both ways to pace, and what is written to files.
func TestBenchOnACluster(t *testing.T) {
	nodes := demoCluster(t)
	u := tool{t: t, addr: nodes[1]}
	dir := t.TempDir()
	var files []string
	for name, args := range map[string][]string{
		"go":   {"--rate", "2000", "--ops", "1000"},
		"resp": {"--resp", "--pipeline", "8", "--ops", "1000", "--ttl", "1m", "--dist", "uniform", "--size", "10-2000"},
	} {
		file := filepath.Join(dir, name+".json")
		files = append(files, file)
		args = append([]string{"bench", "--keys", "500", "--json", file, "--hdr", filepath.Join(dir, name+".hgrm"), "--svg", filepath.Join(dir, name+".svg")}, args...)
		out, said, code := u.run("", args...)
		if code != 0 || !strings.Contains(out, "1000 operations") {
			t.Fatalf("%s: exit code %d\n%s%s", name, code, out, said)
		}
		r, err := load.ReadResult(file)
		if err != nil || r.Ops != 1000 || r.Misses != 0 || len(r.Errors) != 0 || r.Server != "aegis "+node.Version {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		for _, ext := range []string{".hgrm", ".svg"} {
			if b, err := os.ReadFile(filepath.Join(dir, name+ext)); err != nil || len(b) < 500 {
				t.Errorf("%s%s: %d bytes, %v", name, ext, len(b), err)
			}
		}
	}
	out, said, code := u.run("", "bench", "--compare", files[0], files[1], "--svg", filepath.Join(dir, "both.svg"))
	if code != 0 || !strings.Contains(out, "B/A") || !strings.Contains(out, "p99 us") {
		t.Errorf("--compare: exit code %d\n%s%s", code, out, said)
	}
}

func TestMistakesOfBenchAreOneSentence(t *testing.T) {
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{[]string{"--ratio", "9"}, []string{"9:1"}},
		{[]string{"--dist", "normal"}, []string{"zipf"}},
		{[]string{"--size", "big"}, []string{"64-1024"}},
		{[]string{"--keys", "0"}, []string{"0 keys"}},
		{[]string{"--duration", "0s"}, []string{"must end"}},
		{[]string{"-o", "yaml"}, []string{"text or json"}},
		{[]string{"--compare", "a.json"}, []string{"two files"}},
		{[]string{"a.json"}, []string{"a.json", "--compare"}},
		{[]string{"--addr", "nowhere"}, []string{"host:port"}},
	} {
		fails(t, exitUsage, append([]string{"bench"}, c.args...), c.parts...)
	}
	fails(t, 1, []string{"bench", "--compare", "absent.json", "b.json"}, "absent.json")
}

package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exampleProgram is the client example of SPEC.md, results ignored as published
// examples do, and printed where there is something to check.
const exampleProgram = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

func main() {
	cfg := client.DefaultConfig([]string{os.Args[1]})
	c, err := client.New(cfg)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	ctx := context.Background()
	c.Set(ctx, "key", []byte("value"))
	c.SetWithTTL(ctx, "session", []byte("data"), 5000)
	value, err := c.Get(ctx, "key")
	fmt.Printf("%s %v\n", value, err)
	data, err := c.Get(ctx, "session")
	fmt.Printf("%s %v\n", data, err)
	c.Delete(ctx, "key")
	value, err = c.Get(ctx, "key")
	fmt.Println(value == nil, err == client.ErrNotFound)
}
`

const exampleOutput = "value <nil>\ndata <nil>\ntrue true\n"

// runExample builds and runs the example in a module of its own, offline.
func runExample(t *testing.T, addr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": exampleProgram,
		"go.mod": "module example\n\ngo 1.26\n\nrequire github.com/baxromumarov/aegisKV v0.0.0\n\n" +
			"replace github.com/baxromumarov/aegisKV => " + repository(t) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", ".", addr)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || string(out) != exampleOutput {
		t.Errorf("example against %s: %v\n%s%s", addr, err, out, errs.String())
	}
}

func TestExampleAgainstOneNode(t *testing.T) {
	t.Parallel()
	runExample(t, launch(t, 1, "256MiB")[0].addr)
}

func TestExampleAgainstRedis(t *testing.T) {
	t.Parallel()
	if needs(t, "redis-server", "redis-server") {
		runExample(t, startRedis(t))
	}
}

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Trace is the order in which objects were asked for. Objects are numbered in the
// order of their first request.
type Trace struct {
	Name    string
	Objects int
	Once    int // objects asked for once
	Asked   []uint32
}

// enter numbers the objects of a stream of keys.
func enter(name string, keys func(yield func(key uint64)) error) (*Trace, error) {
	t := &Trace{Name: name}
	numbers := map[uint64]uint32{}
	err := keys(func(key uint64) {
		n, ok := numbers[key]
		if !ok {
			n = uint32(len(numbers))
			numbers[key] = n
		}
		t.Asked = append(t.Asked, n)
	})
	t.Objects = len(numbers)
	times := make([]uint8, t.Objects)
	for _, n := range t.Asked {
		times[n] = min(2, times[n]+1)
	}
	t.Once = bytes.Count(times, []byte{1})
	return t, err
}

// known are the names under which published figures of a file stand.
var known = map[string]string{
	"corda_vaultservice": "corda", "cloudPhysicsIO": "cpio", "mooncake_conversation": "mooncake",
	"OLTP": "oltp", "P3": "p3", "P6": "p6",
}

// files lists the trace files below a folder.
func files(dir string) (paths []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && formatOf(path, nil) != nil {
			paths = append(paths, path)
		}
		return err
	})
	return paths, err
}

// nameOf is what a trace is called: its file's name up to the first dot.
func nameOf(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	if k, ok := known[name]; ok {
		return k
	}
	return name
}

// load reads a trace file, compressed or not.
func load(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := unpack(path, bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := bufio.NewReaderSize(plain, 1<<20)
	start, _ := r.Peek(64)
	t, err := enter(nameOf(path), func(yield func(uint64)) error { return formatOf(path, start)(r, yield) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func unpack(path string, r io.Reader) (io.Reader, error) {
	switch filepath.Ext(path) {
	case ".zst":
		return zstd.NewReader(r)
	case ".xz":
		return xz.NewReader(r)
	case ".gz":
		return gzip.NewReader(r)
	}
	return r, nil
}

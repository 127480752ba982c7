package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// format reads the keys of a trace in their order.
type format func(r *bufio.Reader, yield func(key uint64)) error

// formatOf knows a file's format by its name, and by its first bytes where several
// formats have the same name; nil when it is no trace.
func formatOf(path string, start []byte) format {
	name := filepath.Base(path)
	for _, packed := range []string{".zst", ".xz", ".gz"} {
		name = strings.TrimSuffix(name, packed)
	}
	switch {
	case strings.HasSuffix(name, ".lis"):
		return ranges
	case strings.HasSuffix(name, ".be64"):
		return words(8, 0, 8)
	case strings.HasSuffix(name, ".oracleGeneral.bin"), strings.HasSuffix(name, ".oracleGeneral"):
		return words(24, 4, -8)
	case strings.HasSuffix(name, ".jsonl"):
		return blocks
	case strings.HasSuffix(name, ".trace") && len(bytes.Trim(start, "0123456789*\r\n ")) == 0:
		return lines
	case strings.HasSuffix(name, ".trace"):
		return words(4, 0, 4)
	}
	return nil
}

// words are records of a fixed size with an integer at a place: of so many bytes
// with the highest first, or, below zero, with the lowest first.
func words(record, at, size int) format {
	return func(r *bufio.Reader, yield func(uint64)) error {
		b := make([]byte, record)
		for {
			if _, err := io.ReadFull(r, b); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			switch size {
			case 4:
				yield(uint64(binary.BigEndian.Uint32(b[at:])))
			case 8:
				yield(binary.BigEndian.Uint64(b[at:]))
			default:
				yield(binary.LittleEndian.Uint64(b[at:]))
			}
		}
	}
}

// eachLine calls do for every line that is neither empty nor a mark.
func eachLine(r *bufio.Reader, do func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.Contains(line, "*") {
			continue
		}
		if err := do(line); err != nil {
			return err
		}
	}
	return s.Err()
}

// lines have one key each.
func lines(r *bufio.Reader, yield func(uint64)) error {
	return eachLine(r, func(line string) error {
		key, err := strconv.ParseUint(line, 10, 64)
		yield(key)
		return err
	})
}

// ranges are lines "start count ..." for the keys from start on.
func ranges(r *bufio.Reader, yield func(uint64)) error {
	return eachLine(r, func(line string) error {
		f := strings.Fields(line)
		if len(f) < 2 {
			return fmt.Errorf("no range: %q", line)
		}
		start, err := strconv.ParseUint(f[0], 10, 64)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(f[1], 10, 32)
		for i := range n {
			yield(start + i)
		}
		return err
	})
}

// blocks are JSON lines of requests for several blocks each.
func blocks(r *bufio.Reader, yield func(uint64)) error {
	return eachLine(r, func(line string) error {
		var request struct {
			Blocks []uint64 `json:"hash_ids"`
		}
		err := json.Unmarshal([]byte(line), &request)
		for _, b := range request.Blocks {
			yield(b)
		}
		return err
	})
}

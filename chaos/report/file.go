package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Encode writes report.json, on one line: indented it would be three times as long.
func (r *Report) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Decode reads report.json. One of a newer schema is refused: fields that this
// program does not know may change what the others mean.
func Decode(rd io.Reader) (*Report, error) {
	b, err := io.ReadAll(rd)
	if err != nil {
		return nil, err
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("this is no report.json: %w", err)
	}
	switch {
	case head.Schema == 0:
		return nil, fmt.Errorf("this is no report.json: it does not say its schema")
	case head.Schema > Schema:
		return nil, fmt.Errorf("the report has schema %d, this program reads up to %d: read it with the program that wrote it, or a newer one", head.Schema, Schema)
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("report.json of schema %d: %w", head.Schema, err)
	}
	return r, nil
}

// ReadFile reads a report.json by its path.
func ReadFile(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// The names of a report's files.
const (
	JSONName  = "report.json"
	HTMLName  = "report.html"
	JUnitName = "junit.xml"
)

// WriteDir writes report.json, report.html and junit.xml into a directory that is
// there. report.json comes first: whatever may go wrong in drawing, the facts are kept.
func (r *Report) WriteDir(dir string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{JSONName, r.Encode}, {HTMLName, r.HTML}, {JUnitName, r.JUnit}} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

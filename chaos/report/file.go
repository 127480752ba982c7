package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Encode writes report.json.
func (r *Report) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
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

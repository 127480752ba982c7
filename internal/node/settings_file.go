package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// fileValue is one key of the configuration file.
type fileValue struct {
	row  Setting
	text string // as the same value would be written in a flag
	at   filePlace
}

// filePlace is a place in a file, counted from one.
type filePlace struct{ line, column int }

// String is line:column.
func (p filePlace) String() string { return fmt.Sprintf("%d:%d", p.line, p.column) }

// placeOf finds the line and column of a byte.
func placeOf(b []byte, offset int64) filePlace {
	before := b[:min(max(offset, 0), int64(len(b)))]
	return filePlace{
		line:   bytes.Count(before, []byte("\n")) + 1,
		column: len(before) - bytes.LastIndexByte(before, '\n'),
	}
}

// fileParser reads one flat JSON object, token by token: decoding into a struct
// would forgive wrong case and repeated keys, and could not say where a mistake is.
type fileParser struct {
	b    []byte
	dec  *json.Decoder
	seen map[string]bool
}

// parseFile reads a configuration file. An error starts with line:column.
func parseFile(b []byte) ([]fileValue, error) {
	p := &fileParser{b: b, dec: json.NewDecoder(bytes.NewReader(b)), seen: make(map[string]bool)}
	p.dec.UseNumber()
	values, at, err := p.object()
	if err == nil {
		return values, nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = placeOf(b, syntax.Offset-1)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, err = placeOf(b, int64(len(b))), errors.New("the file ends too early")
	}
	return nil, fmt.Errorf("%s: %w", at, err)
}

// next reads a token and says where it starts.
func (p *fileParser) next() (json.Token, filePlace, error) {
	start := p.dec.InputOffset()
	for start < int64(len(p.b)) && strings.IndexByte(" \t\r\n,:", p.b[start]) >= 0 {
		start++
	}
	t, err := p.dec.Token()
	return t, placeOf(p.b, start), err
}

func (p *fileParser) object() ([]fileValue, filePlace, error) {
	t, at, err := p.next()
	if errors.Is(err, io.EOF) {
		return nil, at, err
	}
	if err != nil || t != json.Delim('{') {
		return nil, at, errors.New(`the file must be one JSON object, like {"clientAddr": ":7000"}; YAML and TOML are not read`)
	}
	var values []fileValue
	for p.dec.More() {
		v, at, err := p.pair()
		if err != nil {
			return nil, at, err
		}
		values = append(values, v)
	}
	if _, at, err = p.next(); err != nil {
		return nil, at, err
	}
	if _, at, err = p.next(); err == nil {
		return nil, at, errors.New("something follows the JSON object")
	}
	if !errors.Is(err, io.EOF) {
		return nil, at, err
	}
	return values, at, nil
}

// pair reads one key and its value.
func (p *fileParser) pair() (fileValue, filePlace, error) {
	t, at, err := p.next()
	if err != nil {
		return fileValue{}, at, err
	}
	key, _ := t.(string)
	row, ok := settingOf(key)
	if !ok {
		return fileValue{}, at, fmt.Errorf("unknown key %q; the nearest is %q", key, Nearest(key, tableKeys()))
	}
	if p.seen[key] {
		return fileValue{}, at, fmt.Errorf("%q is given twice", key)
	}
	p.seen[key] = true
	text, valueAt, err := p.value(row)
	return fileValue{row, text, at}, valueAt, err
}

// value reads a value as the text that a flag would have. Where a number is meant
// a string is taken too, and not the other way round: an id of 007 must not become 7.
func (p *fileParser) value(row Setting) (string, filePlace, error) {
	t, at, err := p.next()
	if err != nil {
		return "", at, err
	}
	switch v := t.(type) {
	case string:
		return v, at, nil
	case json.Number:
		if row.Unit == "N" || row.Unit == "SIZE" || row.Key == "walMode" {
			return v.String(), at, nil
		}
	case json.Delim:
		if v == '[' && row.Key == "seedNodes" {
			text, err := p.list()
			return text, at, err
		}
	}
	return "", at, fmt.Errorf("%s takes %s", row.Key, row.Unit)
}

// list reads strings up to the closing bracket, as a comma list.
func (p *fileParser) list() (string, error) {
	var all []string
	for p.dec.More() {
		t, _, err := p.next()
		if err != nil {
			return "", err
		}
		s, ok := t.(string)
		if !ok || strings.Contains(s, ",") {
			return "", fmt.Errorf("%v is not an address in quotes", t)
		}
		all = append(all, s)
	}
	_, _, err := p.next()
	return strings.Join(all, ","), err
}

func tableKeys() []string {
	keys := make([]string, len(table))
	for i, row := range table {
		keys[i] = row.Key
	}
	return keys
}

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// scanner walks over the keys of all nodes, one after the other.
type scanner struct {
	match      string
	count, max int
	zero       bool
}

func newScan() *cobra.Command {
	k := &keyTool{}
	var s scanner
	c := k.command("scan", "Print the keys of all nodes, one a line",
		"\nA key that is there from beginning to end is printed; one whose shard moves meanwhile\nmay come twice. With -o json every line is a string.\n\n  aegis scan --match 'session:*' --limit 100\n  aegis scan --null | xargs -0 -n1 aegis ttl\n",
		noArgs, func([]string) error { return s.run(k) })
	f := c.Flags()
	f.StringVar(&s.match, "match", "", "only keys of this pattern: * ? [abc]")
	f.IntVar(&s.count, "count", 1000, "how many keys a node looks at in one step")
	f.IntVar(&s.max, "limit", 0, "stop after so many keys (0 = never)")
	f.BoolVar(&s.zero, "null", false, "end each key with a zero byte instead of a newline")
	return c
}

func (s *scanner) run(k *keyTool) error {
	if s.count < 1 || s.max < 0 {
		return usageError("--count %d, --limit %d: a step looks at one key at least, and a limit is 0 (none) or more", s.count, s.max)
	}
	until := time.Now().Add(k.timeout)
	if err := k.asker.readMap(until); err != nil {
		return err
	}
	printed := 0
	for _, addr := range k.asker.route.nodes() {
		cursor := "0"
		for {
			keys, next, err := s.step(k, addr, cursor)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if s.max > 0 && printed == s.max {
					return nil
				}
				if err := s.print(k, string(key.Text)); err != nil {
					return err
				}
				printed++
			}
			if next == "0" {
				break
			}
			cursor = next
		}
	}
	return nil
}

// step asks one node for the next keys; each step has the whole time.
func (s *scanner) step(k *keyTool, addr, cursor string) (keys []resp.Reply, next string, err error) {
	until := time.Now().Add(k.timeout)
	l, err := k.asker.link(addr, until)
	if err != nil {
		return nil, "", err
	}
	_ = l.SetDeadline(until)
	words := []string{"SCAN", cursor, "COUNT", strconv.Itoa(s.count)}
	if s.match != "" {
		words = append(words, "MATCH", s.match)
	}
	begun := time.Now()
	var r resp.Reply
	if _, err = l.Write(resp.AppendCommand(nil, words...)); err == nil {
		r, err = resp.ReadReply(l.read)
	}
	k.asker.trace.hop("request", addr, begun, err)
	switch {
	case err != nil:
		return nil, "", &unreachedError{addr, err}
	case r.IsError():
		return nil, "", serverError(r)
	case len(r.Items) != 2:
		return nil, "", fmt.Errorf("%s gives an answer to SCAN that cannot be read", addr)
	}
	return r.Items[1].Items, string(r.Items[0].Text), nil
}

func (s *scanner) print(k *keyTool, key string) error {
	w := k.cmd.OutOrStdout()
	switch {
	case k.format == "json":
		return json.NewEncoder(w).Encode(key)
	case s.zero:
		_, err := fmt.Fprintf(w, "%s\x00", key)
		return err
	}
	_, err := fmt.Fprintln(w, key)
	return err
}

// nodes are the addresses of the map, each once.
func (r route) nodes() (addrs []string) {
	for _, s := range r.spans {
		if !slices.Contains(addrs, s.Addr) {
			addrs = append(addrs, s.Addr)
		}
	}
	return addrs
}

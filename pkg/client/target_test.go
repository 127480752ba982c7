package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOpenReadsTargets(t *testing.T) {
	c, err := Open("aegis://ada:p%40ss,word@one,two:7010,[::1],[::2]:9/?timeout=500ms&dial=2s&stall=3s&refresh=4s&conns=3&inflight=5&losses=true&name=n&durability=all",
		WithConns(7), WithTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g := c.cfg
	if !slices.Equal(g.Seeds, []string{"one:7000", "two:7010", "[::1]:7000", "[::2]:9"}) {
		t.Errorf("%q", g.Seeds)
	}
	if g.Username != "ada" || g.Password != "p@ss,word" || g.Timeout != time.Second || g.DialTimeout != 2*time.Second ||
		g.StallTimeout != 3*time.Second || g.RefreshEvery != 4*time.Second || g.ConnsPerNode != 7 || g.MaxInflight != 5 || !g.Losses || g.Name != "n" || g.Durability != "all" {
		t.Errorf("%+v", g)
	}
}

func TestOpenRefusesTargets(t *testing.T) {
	for target, word := range map[string]string{
		"localhost:7000":               "aegis://",
		"redis://:secret@h":            "aegis://",
		"aegis://":                     "seed",
		"aegis://a,,b":                 "seed",
		"aegis://h?color=red":          "color",
		"aegis://h?timeout=5":          "timeout",
		"aegis://h?conns=-1":           "ConnsPerNode",
		"aegis://h?durability=some":    "Durability",
		"aegis://h?a=%zz":              "%zz",
		"aegis://u:secret%zz@h:1":      "login",
		"aegis://h:port:port?losses=3": "losses",
	} {
		c, err := Open(target)
		if c == nil || !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", target, err)
		}
		if _, got := c.Get(ctx, "k"); got != err {
			t.Errorf("%s: a call answers %v", target, got)
		}
	}
}

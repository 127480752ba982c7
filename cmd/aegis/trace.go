package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// trace is the way of one command through the cluster.
type trace struct {
	on       bool
	Slot     shardmap.Slot    `json:"slot"`
	Shard    int              `json:"shard"` // -1 = the server has none
	Node     string           `json:"node"`  // who answered
	MapEpoch uint64           `json:"mapEpoch"`
	Epoch    uint32           `json:"epoch,omitempty"` // of the leaseholder, part of Version
	Version  shardmap.Version `json:"version,omitempty"`
	Attempts int              `json:"attempts"`
	Hops     []hop            `json:"hops"`
	Total    int64            `json:"microseconds"`
	begun    time.Time
}

// hop is one step and what it took.
type hop struct {
	Step   string `json:"step"` // connect, map, request
	Node   string `json:"node"`
	Micros int64  `json:"microseconds"`
	Error  string `json:"error,omitempty"`
}

func (t *trace) hop(step, node string, begun time.Time, err error) {
	h := hop{Step: step, Node: node, Micros: time.Since(begun).Microseconds()}
	if err != nil {
		h.Error = err.Error()
	} else if step == "request" {
		t.Node = node
	}
	t.Hops = append(t.Hops, h)
	t.Total = time.Since(t.begun).Microseconds()
}

// told takes what a node said beside its reply: {e: map epoch, v: version}.
func (t *trace) told(attributes resp.Reply) {
	for i := 0; i+1 < len(attributes.Items); i += 2 {
		switch n := attributes.Items[i+1].Int; string(attributes.Items[i].Text) {
		case "e":
			t.MapEpoch = uint64(n)
		case "v":
			t.Version = shardmap.Version(n)
			t.Epoch = t.Version.Epoch()
		}
	}
}

// print writes the trace for people.
func (t *trace) print(w io.Writer) {
	shard := "-"
	if t.Shard >= 0 {
		shard = strconv.Itoa(t.Shard)
	}
	fmt.Fprintf(w, "slot %d  shard %s  node %s  map epoch %d", t.Slot, shard, t.Node, t.MapEpoch)
	if t.Version != 0 {
		fmt.Fprintf(w, "  epoch %d  version %v", t.Epoch, t.Version)
	}
	fmt.Fprintf(w, "  attempts %d\n", t.Attempts)
	for _, h := range t.Hops {
		fmt.Fprintf(w, "%8d us  %-8s %s", h.Micros, h.Step, h.Node)
		if h.Error != "" {
			fmt.Fprintf(w, "  %s", h.Error)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%8d us  in all\n", t.Total)
}

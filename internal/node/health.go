package node

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
)

// stage is how far the life of a node has come. Who has read stageReading or later may
// use the core, its host and the face.
type stage int32

const (
	stageWaiting stage = iota // for its cluster
	stageReading              // its log, if it has one
	stageServing
	stageLeaving // it hands its leases over
	stageEnding  // its clients are sent away
)

// at is the stage now.
func (n *Node) at() stage { return stage(n.stage.Load()) }

// enter begins a stage.
func (n *Node) enter(s stage) { n.stage.Store(int32(s)) }

// probeMax is how long the node's loop may take to answer a probe.
const probeMax = time.Second

// health is what the node's loop says of the node's place in the cluster.
type health struct {
	filled bool // by group 0
	gone   bool // for good
	intent meta.Intent
}

// health asks the loop, which drives all of the node's timers: where it does not answer,
// leases run out.
func (n *Node) health(ctx context.Context) (h health, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	got := make(chan health, 1) // the loop may answer when nobody waits any more
	err = n.host.Do(ctx, func(multiraft.Instant) {
		m := n.core.Meta()
		if m == nil {
			got <- health{}
			return
		}
		row, _ := m.Node(n.self)
		got <- health{filled: true, gone: n.core.Dismissed(), intent: row.Intent}
	})
	if err != nil {
		return h, fmt.Errorf("the node's loop has not answered within %v", probeMax)
	}
	return <-got, nil
}

// early is what a node still does before it takes part in its cluster, "" = nothing.
func (n *Node) early() string {
	switch at := n.at(); {
	case at == stageWaiting:
		return "this node waits for its cluster: its log says whom it asks"
	case at == stageReading && n.durable != nil:
		return n.reading()
	case at == stageReading:
		return "this node is about to begin"
	}
	return ""
}

// reading says how far the node is with its log.
func (n *Node) reading() string {
	rate, left := n.durable.progress.pace()
	return fmt.Sprintf("this node is reading its write-ahead log, %s/s, %v left", About(rate), left)
}

// livePage says whether starting the process again would help. A node that waits for
// others, or reads its log, would only begin anew: it is sound.
func (n *Node) livePage(w http.ResponseWriter, r *http.Request) {
	if n.early() == "" {
		if _, err := n.health(r.Context()); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	say(w, http.StatusOK, "ok")
}

// check is one thing that must be so for clients to be sent here.
type check struct {
	name string
	why  string // it is not so, "" = it is
}

// when is a check that holds when ok does.
func when(name string, ok bool, why string) check {
	if ok {
		why = ""
	}
	return check{name, why}
}

// checks are all of them. That a node knows the map says that it can send clients to
// whoever holds a key, which is enough: it need not hold any itself.
func (n *Node) checks(ctx context.Context) []check {
	early, at := n.early(), n.at()
	list := []check{
		when("begun", early == "", early),
		when("stays", at < stageLeaving, "this node is ending: it hands its leases over and sends its clients away"),
	}
	if early != "" || at >= stageLeaving {
		return list
	}
	h, err := n.health(ctx)
	if err != nil {
		return append(list, check{"loop", err.Error()})
	}
	leaves := h.gone || h.intent == meta.Leaving || h.intent == meta.Gone
	return append(list, check{name: "loop"},
		when("member", !leaves, "operators have taken this node out of the cluster: its copies go to others"),
		when("map", h.filled && n.routes.Load().Epoch() > 0, "this node has not heard from group 0 yet who holds what"))
}

func (n *Node) readyPage(w http.ResponseWriter, r *http.Request) {
	list := n.checks(r.Context())
	code, words := http.StatusOK, "ok"
	if i := slices.IndexFunc(list, func(c check) bool { return c.why != "" }); i >= 0 {
		code, words = http.StatusServiceUnavailable, list[i].why
	}
	if r.URL.Query().Has("verbose") {
		words = verbose(list)
	}
	say(w, code, words)
}

// verbose lists checks, a line each.
func verbose(list []check) string {
	lines := make([]string, len(list))
	for i, c := range list {
		if lines[i] = "[+] " + c.name; c.why != "" {
			lines[i] = "[-] " + c.name + ": " + c.why
		}
	}
	return strings.Join(lines, "\n")
}

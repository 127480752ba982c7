package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// intentWord is a command that changes what operators want of a node.
type intentWord struct {
	word, short, long string
	// done is what the command says when it waits for nothing more.
	done string
	// left is what of a node has still to go, "" nothing; nil = there is nothing to wait for.
	left func(r node.ClusterReport, n *node.NodeReport) string
}

var intentWords = []intentWord{
	{
		word: "drain", short: "Move the leases of a node elsewhere and keep them there; its copies stay",
		long: `Move the leases of a node elsewhere, each as a planned move: clients see no error. The node
stays a member with its copies, takes no lease, and stays drained over restarts, until undrain.`,
		done: "has no leases any more", left: leasesLeft,
	},
	{word: "undrain", short: "Take a drain or a decommission back", long: `Take a drain or a decommission back: the node takes leases and copies again. Copies that are
still on the node are used; moves that have not ended are given up.`},
	{
		word: "decommission", short: "Move everything off a node, then let it leave for good",
		long: `Move the leases and the copies of a node elsewhere, under load, and let it leave: its process
ends with exit code 0, and its data directory may never come back. Until then undrain takes
it back. A node that is dead for good leaves so too: nobody waits for its own word once its
copies are elsewhere and it was missed for a minute. See what would move with aegis rebalance --dry-run --without NODE.`,
		done: "has left the cluster", left: copiesLeft,
	},
}

// newIntents are the commands drain, undrain and decommission.
func newIntents() (cmds []*cobra.Command) {
	for _, w := range intentWords {
		cmds = append(cmds, w.command())
	}
	return cmds
}

func (w intentWord) command() *cobra.Command {
	var f operatorFlags
	var wait bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use: w.word + " NODE", Short: w.short,
		Long: w.long + `

NODE is its name, its number or its client address, as in aegis status.

Exit codes: 0 done, 1 refused, or not ended in time, 2 unreachable, 64 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which node? usage: aegis %s NODE, with its name, number or address from aegis status", w.word)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var r node.IntentReport
			out := cmd.OutOrStdout()
			if wait {
				out = io.Discard // one answer, at the end
			}
			if err := f.run(out, &r, func() string { return w.taken(r) }, w.word, args[0]); err != nil || !wait {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return w.wait(ctx, cmd, f, r)
		},
	}
	f.declare(cmd)
	if w.left != nil {
		cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and tell how far it is")
		cmd.Flags().DurationVar(&limit, "timeout", 24*time.Hour, "with --wait: how long; what has begun goes on")
	}
	return cmd
}

// taken is the answer when nobody waits.
func (w intentWord) taken(r node.IntentReport) string {
	switch {
	case !r.Changed:
		return fmt.Sprintf("%s is %s already", r.Name, r.Intent)
	case w.left == nil:
		return fmt.Sprintf("%s is %s", r.Name, r.Intent)
	}
	return fmt.Sprintf("%s is %s: aegis status shows how far it is, aegis undrain %s takes it back", r.Name, r.Intent, r.Name)
}

// waited is the answer in JSON of one who waited.
type waited struct {
	node.IntentReport
	Done    bool    `json:"done"`
	Seconds float64 `json:"seconds"`
}

const waitLook = 300 * time.Millisecond

// wait looks at the cluster until nothing is left of what is to go. The node that is
// asked may be the one that leaves, so every other one is asked in its turn.
func (w intentWord) wait(ctx context.Context, cmd *cobra.Command, f operatorFlags, r node.IntentReport) error {
	begun := time.Now()
	addrs := []string{f.addr}
	tells := &waitLine{line: newLiveLine(cmd.ErrOrStderr()), name: r.Name}
	defer tells.line.clear()
	for {
		c, err := clusterStatus(addrs)
		if err == nil {
			addrs = clientAddrs(c, r.Node, addrs)
			i := slices.IndexFunc(c.Nodes, func(n node.NodeReport) bool { return n.Node == r.Node })
			var n *node.NodeReport
			if i >= 0 {
				n = &c.Nodes[i]
			}
			if n != nil && n.Intent != r.Intent && n.Intent != meta.Gone.String() {
				return fmt.Errorf("%s is %s now: somebody else has decided so", r.Name, n.Intent)
			}
			left := w.left(c, n)
			if n == nil && c.Absentee(r.Name).Node == r.Node {
				left = silentLeft(c, r.Intent)
			}
			if left == "" {
				tells.line.clear()
				return w.ended(cmd.OutOrStdout(), f, r, time.Since(begun))
			}
			tells.tell(left)
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New(tells.last)
			}
			return fmt.Errorf("%s %s not yet after %v: %w; it goes on", r.Name, w.done, time.Since(begun).Round(time.Second), err)
		case <-time.After(waitLook):
		}
	}
}

// waitLine tells what is left: a line that is written over on a terminal, one every few
// seconds elsewhere.
type waitLine struct {
	line *liveLine
	name string
	last string
	said string
	at   time.Time
}

func (l *waitLine) tell(left string) {
	l.last = left
	switch {
	case left == l.said:
	case l.line.onTTY:
		l.said = left
		fmt.Fprintf(l.line.w, "\r\x1b[K%s: %s", l.name, left)
	case time.Since(l.at) >= progressLines:
		l.said, l.at = left, time.Now()
		fmt.Fprintf(l.line.w, "%s: %s\n", l.name, left)
	}
}

func (w intentWord) ended(out io.Writer, f operatorFlags, r node.IntentReport, took time.Duration) error {
	if f.format == "json" {
		return json.NewEncoder(out).Encode(waited{r, true, took.Seconds()})
	}
	fmt.Fprintf(out, "%s %s, after %v\n", r.Name, w.done, took.Round(100*time.Millisecond))
	return nil
}

// clusterStatus asks the first node that answers.
func clusterStatus(addrs []string) (r node.ClusterReport, err error) {
	for _, a := range addrs {
		var b []byte
		if b, err = admin(a, "status"); err == nil {
			if err = json.Unmarshal(b, &r); err == nil {
				return r, nil
			}
		}
	}
	return r, err
}

// clientAddrs lists whom to ask: those that stay before the one that may leave.
func clientAddrs(c node.ClusterReport, leaver shardmap.NodeID, known []string) []string {
	var addrs []string
	for _, n := range c.Nodes {
		if n.Node != leaver {
			addrs = append(addrs, n.Addresses.Client)
		}
	}
	for _, a := range known {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// leasesLeft counts the leases that have to leave a node.
func leasesLeft(_ node.ClusterReport, n *node.NodeReport) string {
	if n == nil {
		return ""
	}
	if k := leasesOf(n); k > 0 {
		return fmt.Sprintf("%d leases are left", k)
	}
	return ""
}

func leasesOf(n *node.NodeReport) (leases int) {
	for _, g := range n.Groups {
		if g.Open {
			leases++
		}
	}
	return leases
}

// copiesLeft counts what has to leave a node; nothing is left when nobody has heard of
// it any more.
func copiesLeft(r node.ClusterReport, n *node.NodeReport) string {
	if n == nil || n.Intent == meta.Gone.String() {
		return ""
	}
	bytes := int64(0)
	for _, g := range n.Groups {
		bytes += g.Bytes
	}
	parts := []string{fmt.Sprintf("%d copies (%s) and %d leases are left", len(n.Groups), node.About(bytes), leasesOf(n))}
	if moving := movesText(r); moving != "" {
		parts = append(parts, moving)
	}
	return strings.Join(append(parts, r.Waiting...), "; ")
}

// silentLeft is what has still to be done about a node that does not answer.
func silentLeft(r node.ClusterReport, intent string) string {
	left := "it does not answer"
	if intent != meta.Leaving.String() {
		return left
	}
	if moving := movesText(r); moving != "" {
		return left + ": " + moving
	}
	return left + ": nothing of it is wanted any more once its copies are elsewhere and it was missed for a minute"
}

// movesText says how far copies on their way are, and how long all of them will take.
func movesText(r node.ClusterReport) string {
	total, done := int64(0), int64(0)
	for _, m := range r.Moves {
		total, done = total+m.Bytes, done+m.Done
	}
	if len(r.Moves) == 0 {
		return ""
	}
	parts := []string{fmt.Sprintf("%d groups on their way, %s of %s are there", len(r.Moves), node.About(done), node.About(total))}
	if s := movingText(r.Moving); s != "" {
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// movingText says what all moves together lack, at which rate they go on and how long
// that takes.
func movingText(m *node.Moving) string {
	switch {
	case m == nil:
		return ""
	case m.Rate == 0:
		return fmt.Sprintf("%d copies (%s) are to come", m.Copies, node.About(m.Left))
	}
	left := time.Duration(m.Seconds * float64(time.Second))
	return fmt.Sprintf("%d copies (%s) are to come at %s/s, about %v left", m.Copies, node.About(m.Left), node.About(m.Rate), max(left.Round(time.Second), time.Second))
}

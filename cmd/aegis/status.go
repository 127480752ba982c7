package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Exit codes of status.
const (
	exitDegraded    = 1
	exitUnreachable = 2
	exitUsage       = 64
)

func newStatus() *cobra.Command {
	var addr, format, restart string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, leases, replicas and a verdict (exit code 0 healthy, 1 degraded, 2 unreachable, 64 wrong usage)",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "json" && format != "table" {
				return usageError("unknown output format %q: use table or json", format)
			}
			if _, _, err := net.SplitHostPort(addr); err != nil {
				return usageError("%q is no client address: give host:port of any node, like --addr localhost:7000", addr)
			}
			b, err := admin(addr, "status")
			if err != nil {
				return notTold(addr, err, exitUnreachable)
			}
			var r node.ClusterReport
			if err := json.Unmarshal(b, &r); err != nil {
				return &exitError{exitUnreachable, "the node's answer cannot be read: " + err.Error()}
			}
			if format == "json" {
				fmt.Fprintln(cmd.OutOrStdout(), string(b))
			} else {
				printStatus(cmd.OutOrStdout(), r)
			}
			if restart != "" {
				return safeToRestart(r, restart)
			}
			if !r.Healthy {
				return &exitError{exitDegraded, ""}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "localhost:7000", "client address of any node")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&restart, "safe-to-restart", "", "exit code 0 only if this node (name or number) can be restarted now: every group keeps a quorum and whole copies without it")
	return cmd
}

// safeToRestart refuses in a sentence, which the exit code follows.
func safeToRestart(r node.ClusterReport, name string) error {
	for _, n := range r.Nodes {
		if n.Name != name && fmt.Sprint(n.Node) != name && n.Addresses.Client != name {
			continue
		}
		if n.SafeToRestart {
			return nil
		}
		return &exitError{exitDegraded, fmt.Sprintf("%s is not safe to restart: %s", n.Name, n.RestartWaits)}
	}
	return &exitError{exitDegraded, fmt.Sprintf("no node %q answers: the table shows who does", name)}
}

// notTold is the end of a command whose question was not answered: the node has said why,
// or there is none. code is the exit code of a refusal.
func notTold(addr string, err error, code int) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "read" && op.Timeout() {
		return &exitError{exitUnreachable, fmt.Sprintf("%s was reached and does not answer: a node that waits for its --seeds does not yet, and its log says whom it asks; or is --addr no client address?", addr)}
	}
	if !refused(err) {
		return &exitError{exitUnreachable, fmt.Sprintf("no node answers at %s: %v; is it running, and is --addr its client address?", addr, err)}
	}
	why := err.Error()
	if word, rest, _ := strings.Cut(why, " "); word == "ERR" || word == "NOPERM" {
		why = rest
	}
	return &exitError{code, why}
}

// admin sends operators' words to a node.
func admin(addr string, words ...string) ([]byte, error) {
	return adminWithin(nodeWait, addr, words...)
}

// adminWithin is admin for words that take long.
func adminWithin(wait time.Duration, addr string, words ...string) ([]byte, error) {
	return askNode(wait, addr, append([]string{"AEGIS.ADMIN"}, words...)...)
}

// nodeWait is how long a node may take to answer.
const nodeWait = 5 * time.Second

// askNode sends one command to a node, whatever slots it holds.
func askNode(wait time.Duration, addr string, words ...string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(wait))
	if _, err := c.Write(resp.AppendCommand(nil, words...)); err != nil {
		return nil, err
	}
	r, err := resp.ReadReply(bufio.NewReader(c))
	switch {
	case err != nil:
		return nil, err
	case r.IsError():
		return nil, serverError(r)
	}
	return r.Text, nil
}

func printStatus(w io.Writer, r node.ClusterReport) {
	fmt.Fprintf(w, "cluster %.8s   map epoch %d   groups %d   replication factor %d\n\n", r.Cluster, r.MapEpoch, r.Groups, r.Factor)
	slices.SortFunc(r.Nodes, func(a, b node.NodeReport) int { return int(a.Node) - int(b.Node) })
	t := tabwriter.NewWriter(w, 0, 4, 3, ' ', 0)
	fmt.Fprintln(t, "NODE\tNAME\tCLIENTS\tLEASES\tCOPIES\tWHOLE\tKEYS\tBYTES\tLAG\tSTATE\tGOSSIP")
	for _, n := range r.Nodes {
		leases, whole, keys, size, lag := 0, 0, 0, int64(0), int64(0)
		for _, g := range n.Groups {
			if g.Open {
				leases++
				keys += g.Keys
				lag = max(lag, g.LagMax)
			}
			if g.Whole {
				whole++
			}
			size += g.Bytes
		}
		state := "up"
		switch {
		case n.Intent != "" && n.Intent != meta.Active.String():
			state = n.Intent
		case n.Draining:
			state = "draining" // its process ends
		}
		if !n.SafeToRestart && n.RestartWaits != "" && n.Intent != "" {
			state += ", do not restart"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n",
			n.Node, n.Name, n.Addresses.Client, leases, len(n.Groups), whole, keys, size, lag, state, gossipOf(r, n.Name))
	}
	for _, name := range r.Silent {
		id, addr := "-", ""
		if a := r.Absentee(name); a.Node != 0 {
			id, addr = fmt.Sprint(a.Node), a.Client
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t\t\t\t\t\t\tdoes not answer\t%s\n", id, name, addr, gossipOf(r, name))
	}
	t.Flush()
	printMoves(w, r)
	if r.Halted != nil {
		fmt.Fprintf(w, "\n%s\n", r.Halted.Note)
	}
	for _, s := range r.Waiting {
		fmt.Fprintf(w, "\n%s\n", s)
	}
	for _, n := range r.Nodes {
		for _, s := range n.Notices {
			fmt.Fprintf(w, "\n%s: %s\n", n.Name, s)
		}
	}
	fmt.Fprintf(w, "\n%s\n", r.Verdict)
	for _, a := range r.Absent {
		fmt.Fprintf(w, "%s (%s) %s: %s\n", a.Name, a.Client, absence(a), remedy(a))
	}
}

// remedy is what operators can do about a silent node.
func remedy(a node.Absentee) string {
	if a.Intent == meta.Leaving.String() {
		return "it was sent away, and is forgotten once its copies are elsewhere"
	}
	return fmt.Sprintf("start it again with its own --data-dir, or see why it cannot be reached; if it never comes back, aegis decommission %s", a.Name)
}

// absence is how a silent node is missed. One that was heard a moment ago lives, and
// has no time to answer.
func absence(a node.Absentee) string {
	if a.NotHeard < time.Second {
		return "does not answer"
	}
	return fmt.Sprintf("has not been heard for %v", a.NotHeard.Round(time.Second))
}

// gossipOf is what the nodes that answered heard of another by gossip: one word
// when they agree, else each with the number of those who say it.
func gossipOf(r node.ClusterReport, name string) string {
	counts := map[string]int{}
	for _, n := range r.Nodes {
		for _, g := range n.Gossip {
			if g.Name == name {
				counts[g.State.String()]++
			}
		}
	}
	words := slices.Sorted(maps.Keys(counts))
	if len(words) > 1 {
		for i, w := range words {
			words[i] = fmt.Sprintf("%s %d", w, counts[w])
		}
	}
	return strings.Join(words, ", ")
}

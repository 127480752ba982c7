package redis

import (
	"maps"
	"slices"
	"strings"
)

// CommandRow is one row of the command table, for documents.
type CommandRow struct {
	Name    string // upper case, a subcommand behind its container
	Arity   int    // as in Redis: exact, or at least -Arity; the name counts
	Flags   string
	Rights  string // group of commands that a user may be given
	Summary string
}

// Document lists the commands that are served, by name, and those that never will be,
// each with its reason.
func Document() (served []CommandRow, refusals map[string]string) {
	t := newTable()
	for _, name := range t.names {
		c := t.findAny(name)
		served = append(served, c.row())
		for _, sub := range slices.Sorted(maps.Keys(c.subs)) {
			served = append(served, c.subs[sub].row())
		}
	}
	return served, maps.Clone(refused)
}

// DocumentGateway lists what is refused on the gateway port alone, with the answers.
func DocumentGateway() map[string]string {
	all := maps.Clone(gatewayRefused)
	all["client|tracking redirect"] = errGatewayRedirect
	for _, name := range []string{"cluster", "readonly", "readwrite", "asking"} {
		all[name] = errNoCluster
	}
	return all
}

func (c *command) row() CommandRow {
	return CommandRow{
		Name: strings.ToUpper(strings.ReplaceAll(c.name, "|", " ")), Arity: c.arity, Flags: c.flags,
		Rights: string(c.rights), Summary: c.summary,
	}
}

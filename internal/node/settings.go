package node

import (
	"strings"
	"unicode"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Change says when a setting may change.
type Change string

// Kinds of Change: Hard settings are fixed when the cluster is founded, Restart
// ones are read at start.
const (
	Hard    Change = "hard"
	Restart Change = "restart"
)

// envPrefix starts every variable of ours.
// HelpLine is what --help says behind the flag.
func (s Setting) HelpLine() string {
	line := s.Help
	if s.Default != "" {
		line += " (default " + s.Default + ")"
	}
	return line + " [" + s.Env() + "]"
}

const envPrefix = "AEGIS_"

// Setting is one row of the table that flags, environment, file, help and banner
// read. read takes the text of any source; write gives the value as a user would
// write it.
type Setting struct {
	Key     string // in the JSON file
	Unit    string // what the value is, as --help shows it
	Default string // "" = found out or none
	Help    string
	Change  Change
	short   string // the published flag, where it is not the kebab-case key
	read    func(c *Loaded, s string) error
	write   func(c *Loaded) string
}

// Kebab is the key as a flag: max-memory-bytes.
func (s Setting) Kebab() string { return s.spell('-', unicode.ToLower) }

// Flag is the flag that --help shows.
func (s Setting) Flag() string {
	if s.short != "" {
		return s.short
	}
	return s.Kebab()
}

// Env is the environment variable.
func (s Setting) Env() string { return envPrefix + s.spell('_', unicode.ToUpper) }

// spell writes the camel-case key with separators.
func (s Setting) spell(separator rune, letter func(rune) rune) string {
	var b strings.Builder
	for i, r := range s.Key {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteRune(separator)
		}
		b.WriteRune(letter(r))
	}
	return b.String()
}

func (s Setting) called(flag string) Setting {
	s.short = flag
	return s
}

// Settings lists the table in the order of --help.
func Settings() []Setting { return table }

// settingOf finds a row by its key.
func settingOf(key string) (Setting, bool) {
	for _, s := range table {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// table is every setting there is. A row without effect does not belong here.
var table []Setting

func init() {
	table = []Setting{
		text("nodeId", "NAME", "", "name of this node; made once and kept in the data directory when not given", func(s string) error {
			if s == "" {
				return nil
			}
			return checkID(s)
		}, func(c *Loaded) *string { return &c.ID }).called("id"),
		address("clientAddr", ":7000", "where Redis clients connect", func(c *Loaded) *string { return &c.ClientAddr }),
		address("clusterAddr", "", "where peers connect, TCP and UDP; client port + 1 when not given", func(c *Loaded) *string { return &c.ClusterAddr }),
		address("gossipAddr", ":7002", "where nodes find each other", func(c *Loaded) *string { return &c.GossipAddr }),
		{
			Key: "seedNodes", Unit: "LIST", Help: "gossip addresses of nodes to join, comma-separated", Change: Restart, short: "seeds",
			read:  func(c *Loaded, s string) (err error) { c.Seeds, err = readAddresses(s); return err },
			write: func(c *Loaded) string { return strings.Join(c.Seeds, ",") },
		},
		number("expect", "", 0, 64, Restart, "how many blank nodes found a cluster together; the number of seeds when not given", func(c *Loaded) *int { return &c.Expect }),
		text("advertise", "HOST", "", "host that other nodes and clients are told; found out when not given", func(s string) error {
			if s == "" {
				return nil
			}
			return checkHost(s)
		}, func(c *Loaded) *string { return &c.Advertise }),
		text("dataDir", "DIR", "./data", "directory for the node's own files", checkDir, func(c *Loaded) *string { return &c.DataDir }),
		{
			Key: "walMode", Unit: strings.Join(wal.Words(), "|"), Default: "off", Help: "write-ahead log", Change: Restart, short: "wal",
			read: readWAL, write: func(c *Loaded) string { return c.WAL.String() },
		},
		text("walDir", "DIR", "./data/wal", "directory of the write-ahead log", checkDir, func(c *Loaded) *string { return &c.WALDir }),
		text("clusterSecretFile", "FILE", "", "file with the secret that peers prove to each other", nil, func(c *Loaded) *string { return &c.SecretFile }),
		word("leaseProfile", "default", []string{"default", "fast", "lan", "noisy"}, "heartbeat and lease length", func(c *Loaded) *string { return &c.LeaseProfile }),
		{
			Key: "ack", Unit: "async|majority|all", Default: "async", Help: "how many copies a write waits for", Change: Restart,
			read: readAck, write: func(c *Loaded) string { return c.AckLevel },
		},
		word("recovery", "available", []string{"available", "strict"}, "what a takeover does when too few copies answer", func(c *Loaded) *string { return &c.Recovery }),
		word("solo", "accept", []string{"accept", "reject"}, "what a leaseholder does when no follower is live", func(c *Loaded) *string { return &c.Solo }),
		number("replicationFactor", "3", 1, 7, Hard, "copies of the data", func(c *Loaded) *int { return &c.ReplicationFactor }),
		number("virtualNodes", "100", 1, 10000, Hard, "points of a node on the consistent-hash ring", func(c *Loaded) *int { return &c.VirtualNodes }),
		number("numShards", "256", 1, 16384, Hard, "shards, a power of two", func(c *Loaded) *int { return &c.NumShards }),
		number("numGroups", "", 0, 16384, Hard, "groups of shards that share a lease; min(64, numShards) when not given", func(c *Loaded) *int { return &c.NumGroups }),
		{
			Key: "maxMemoryBytes", Unit: "SIZE", Default: "1GiB", Help: "memory of stores, rings and transfers", Change: Restart,
			read: readMemory, write: func(c *Loaded) string { return formatSize(c.MaxMemoryBytes) },
		},
		word("logLevel", "info", []string{"debug", "info", "warn", "error"}, "least level of log lines", func(c *Loaded) *string { return &c.LogLevel }),
		word("logFormat", "auto", []string{"auto", "json", "console"}, "auto writes columns on a terminal", func(c *Loaded) *string { return &c.LogFormat }),
	}
}

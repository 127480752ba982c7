package node

import (
	"strings"
	"unicode"
)

// Change says when a new value of a setting takes effect.
type Change string

// Kinds of Change.
const (
	Hard    Change = "hard"    // fixed when the cluster is founded; a joiner that states another value refuses to start
	Restart Change = "restart" // read once, when the node starts
	Live    Change = "live"    // may change while the node runs
)

// Setting is one row of the one table of settings: the flags, the variables, the
// configuration file and the help text are all made from it.
type Setting struct {
	Key     string // in the file; also names the variable and a flag
	Short   string // the published flag where it differs from the kebab spelling of Key
	Unit    string // what a value looks like, for the help text
	Default string // as a user would write it; "" = none, or what Help says
	Help    string
	Change  Change
	Bare    string // what the flag means when it stands alone; "" = it takes a value

	read  func(c *Loaded, s string) error // sets the value from its text
	write func(c *Loaded) string          // the text of the value
}

// Flag is the spelling that help and errors use.
func (s Setting) Flag() string {
	if s.Short != "" {
		return s.Short
	}
	return s.Kebab()
}

// Kebab is the flag that every key has: maxMemoryBytes -> max-memory-bytes.
func (s Setting) Kebab() string { return splitWords(s.Key, '-') }

// Env is the variable that every key has: maxMemoryBytes -> AEGIS_MAX_MEMORY_BYTES.
func (s Setting) Env() string { return envPrefix + strings.ToUpper(splitWords(s.Key, '_')) }

const envPrefix = "AEGIS_"

func splitWords(key string, sep rune) string {
	var b strings.Builder
	for _, r := range key {
		if unicode.IsUpper(r) {
			b.WriteRune(sep)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Settings lists the table in the order of help texts. A setting stands here when
// something acts on it, not before: what is accepted is never ignored.
func Settings() []Setting { return table }

var table = []Setting{
	{
		Key: "nodeId", Short: "id", Unit: "NAME", Change: Restart,
		Help: "name of this node; its files live in <data-dir>/NAME (default: made once and kept in <data-dir>/port-<client port>)",
		read: func(c *Loaded, s string) error { c.ID = s; return checkID(s) }, write: func(c *Loaded) string { return c.ID },
	},
	address("clientAddr", ":7000", "where Redis clients connect", func(c *Loaded) *string { return &c.ClientAddr }),
	address("clusterAddr", "", "where the other nodes connect, TCP and UDP (default: the client port + 1)", func(c *Loaded) *string { return &c.ClusterAddr }),
	address("gossipAddr", ":7002", "where nodes find each other, TCP and UDP; what --seeds of other nodes name", func(c *Loaded) *string { return &c.GossipAddr }),
	extraPorts()[0].row(), // gateway
	extraPorts()[1].row(), // admin
	{
		Key: "seedNodes", Short: "seeds", Unit: "HOST:PORT,...", Change: Restart,
		Help: "gossip addresses of other nodes; without any, a blank node founds a cluster of its own",
		read: func(c *Loaded, s string) (err error) { c.Seeds, err = readAddresses(s); return err }, write: func(c *Loaded) string { return strings.Join(c.Seeds, ",") },
	},
	number("expect", "", 1, 1000, Restart, "how many blank nodes found a cluster together (default: the number of seeds, this node included)", func(c *Loaded) *int { return &c.Expect }),
	{
		Key: "walMode", Short: "wal", Unit: "off|write|fsync", Default: "off", Change: Restart,
		Help: "what has happened to a write before it is answered: off memory only, write handed to the operating system (survives the process), fsync on the disk (survives the machine)",
		read: readWAL, write: func(c *Loaded) string { return c.WAL.String() },
	},
	text("walDir", "DIR", "./data/wal", "where the logs of nodes live, in a directory for each; when it is not given, a log lives in <data-dir>/NAME/wal", checkDir, func(c *Loaded) *string { return &c.WALDir }),
	{
		Key: "acceptDataLoss", Unit: "off|on", Default: "off", Change: Restart, Bare: "on",
		Help: "start although the log or image is damaged and no other node has a copy of what is lost: those shards begin empty",
		read: func(c *Loaded, s string) error { return readOnOff(&c.AcceptDataLoss, s) }, write: func(c *Loaded) string { return onOff(c.AcceptDataLoss) },
	},
	{
		Key: "noSupervise", Unit: "off|on", Default: "off", Change: Restart, Bare: "on",
		Help: "run the node in this very process: nobody tells the others at once that it died, and nobody starts it again",
		read: func(c *Loaded, s string) error { return readOnOff(&c.NoSupervise, s) }, write: func(c *Loaded) string { return onOff(c.NoSupervise) },
	},
	text("dataDir", "DIR", "./data", "where nodes keep their identity and raft state", checkDir, func(c *Loaded) *string { return &c.DataDir }),
	number("replicationFactor", "3", 1, 7, Hard, "copies of every key, as soon as there are so many nodes", func(c *Loaded) *int { return &c.ReplicationFactor }),
	number("virtualNodes", "100", 1, 10000, Hard, "points of each node on the consistent-hash ring", func(c *Loaded) *int { return &c.VirtualNodes }),
	number("numShards", "256", 1, 16384, Hard, "shards of the cluster, a power of two", func(c *Loaded) *int { return &c.NumShards }),
	number("numGroups", "", 1, 16384, Hard, "raft groups that the shards are divided into (default: the smaller of 64 and numShards)", func(c *Loaded) *int { return &c.NumGroups }),
	{
		Key: "maxMemoryBytes", Unit: "SIZE", Default: "1GiB", Change: Restart,
		Help: "memory for keys, values and replication; the default is lowered to 60 % of the machine or cgroup where that is smaller",
		read: readMemory, write: func(c *Loaded) string { return formatSize(c.MaxMemoryBytes) },
	},
	text("advertise", "HOST", "", "name or address that this node announces (default: found out, see the banner)", checkHost, func(c *Loaded) *string { return &c.Advertise }),
	text("zone", "NAME", "", "what this node shares its fate with, a rack or a data centre: copies of a group go to different zones", checkZone, func(c *Loaded) *string { return &c.Zone }),
	{
		Key: "replaceAfter", Unit: "DURATION|off", Default: "5m", Change: Restart,
		Help: "how long a node may be missed before its copies are made elsewhere and its data directory may not come back; the same at every node",
		read: readReplaceAfter, write: func(c *Loaded) string { return orOff(durationWord(c.ReplaceAfter)) },
	},
	{
		Key: "fillBytesPerSecond", Unit: "SIZE|off", Default: "off", Change: Restart,
		Help: "most that this node sends in a second of copies that other nodes get or get back, to all of them together; writes are not counted and not held back; off: as much as they take",
		read: readFillRate, write: func(c *Loaded) string { return orOff(sizeWord(c.FillRate)) },
	},
	{
		Key: "fillCorePercent", Unit: "N|off", Default: "25", Change: Restart,
		Help: "hundredths of one core that this node spends at most on making copies that other nodes get or get back; taking such copies in counts, and makes what it sends itself wait; off: as much as they take",
		read: readFillPercent, write: func(c *Loaded) string { return orOff(numberWord(c.FillPercent)) },
	},
	text("clusterSecretFile", "FILE", "", "file with the secret that all nodes share; it authenticates peers and leases and encrypts gossip", checkDir, func(c *Loaded) *string { return &c.SecretFile }),
	word("leaseProfile", "default", []string{"default", "fast", "lan", "noisy"},
		"heartbeat and lease: default 100ms/600ms, fast 20ms/100ms, lan 50ms/250ms, noisy 200ms/1.5s; a failover takes about one lease", func(c *Loaded) *string { return &c.LeaseProfile }),
	{
		Key: "ack", Unit: "async|majority|all[+fsync]", Default: "async", Change: Restart,
		Help: "what a write waits for, unless its connection says otherwise (AEGIS.DURABILITY)",
		read: readAck, write: func(c *Loaded) string { return c.AckLevel },
	},
	word("recovery", "available", []string{"available", "strict"},
		"with too few whole copies after a failure: available serves the best one and reports the loss, strict stays down", func(c *Loaded) *string { return &c.Recovery }),
	word("solo", "accept", []string{"accept", "reject"},
		"with no live follower at all: accept goes on writing and records the exposure, reject refuses", func(c *Loaded) *string { return &c.Solo }),
	number("followerStalenessMs", "1000", 0, 3_600_000, Restart, "what reads may lack on connections that said READONLY, in milliseconds; 0 sends them to the leaseholder", func(c *Loaded) *int { return &c.FollowerStalenessMs }),
	word("maintNotifications", "on", []string{"on", "off"}, "whether clients may ask to be told of leases that move (CLIENT MAINT_NOTIFICATIONS)", func(c *Loaded) *string { return &c.MaintNotifications }),
	number("trackedKeysMax", "1000000", 1, 1_000_000_000, Restart, "keys of which a node remembers who read them (CLIENT TRACKING); beyond it some are told to be invalid although they are not", func(c *Loaded) *int { return &c.TrackedKeysMax }),
	word("logLevel", "info", []string{"debug", "info", "warn", "error"}, "least level that is logged", func(c *Loaded) *string { return &c.LogLevel }),
	word("logFormat", "auto", []string{"auto", "json", "console"}, "auto is console on a terminal and json elsewhere", func(c *Loaded) *string { return &c.LogFormat }),
}

// settingOf finds the row of a key.
func settingOf(key string) (Setting, bool) {
	for _, s := range table {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

package node

import (
	"time"

	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Version is the release this code is.
const Version = "0.1.0"

// Config is everything an operator may say about a node.
type Config struct {
	ID           string // shown to users; empty: made from the client port
	ClientAddr   string
	ClusterAddr  string
	GossipAddr   string
	GatewayAddr  string // empty: no gateway port
	AdminAddr    string // empty: no admin port
	Advertise    string // host announced to others; empty: found out
	Zone         string // what the node shares its fate with; empty: not known
	Seeds        []string
	ReplaceAfter time.Duration // how long a node is missed before it is replaced; 0: never
	Expect       int
	FillPercent  int   // of a core that fills may take; 0: any
	FillRate     int64 // bytes a second that are sent to copies on their way; 0: as many as they take
	DataDir      string
	SecretFile   string
	LeaseProfile string
	AckLevel     string
	Recovery     string
	Solo         string

	WAL    wal.Mode
	WALDir string // of all logs; used when it is stated, otherwise the log lives in the node's own directory
	// AcceptDataLoss lets a node start that lost data which nobody else has.
	AcceptDataLoss bool

	ReplicationFactor int
	VirtualNodes      int
	NumShards         int
	NumGroups         int // 0: min(64, NumShards)
	MaxMemoryBytes    int64
	TrackedKeysMax    int
	// FollowerStalenessMs is in milliseconds, 0 = followers answer no reads.
	FollowerStalenessMs int
	// MaintNotifications is "on" or "off".
	MaintNotifications string
	// Stated names, by key, the settings that the operator gave explicitly.
	Stated map[string]bool
}

// DefaultConfig is what SPEC.md publishes.
func DefaultConfig() Config {
	return Config{
		ClientAddr: ":7000", DataDir: "./data", LeaseProfile: "default", AckLevel: "async",
		Recovery: "available", Solo: "accept", ReplaceAfter: 5 * time.Minute,
		ReplicationFactor: 3, VirtualNodes: 100, NumShards: 256, MaxMemoryBytes: 1 << 30, TrackedKeysMax: 1_000_000, FollowerStalenessMs: 1000, MaintNotifications: "on",
		Stated: map[string]bool{},
	}
}

// profile is one --lease-profile.
type profile struct{ heartbeat, promise time.Duration }

var profiles = map[string]profile{
	"default": {100 * time.Millisecond, 600 * time.Millisecond},
	"fast":    {20 * time.Millisecond, 100 * time.Millisecond},
	"lan":     {50 * time.Millisecond, 250 * time.Millisecond},
	"noisy":   {200 * time.Millisecond, 1500 * time.Millisecond},
}

var recoveries = map[string]shardgroup.Recovery{"available": shardgroup.RecoverAvailable, "strict": shardgroup.RecoverStrict}

var solos = map[string]shardgroup.Solo{"accept": shardgroup.SoloAccept, "reject": shardgroup.SoloReject}

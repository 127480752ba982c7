package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/transport"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// Node is one running aegis process. Make it with New, run it once with Run.
type Node struct {
	cfg    Config
	log    *zap.Logger
	level  ackLevel
	secret []byte

	dir     *dataDir
	storage *multiraft.BoltStorage
	start   multiraft.Restored
	durable *durability       // nil in mode off
	begun   multiraft.Instant // read after the lock was won
	client  net.Listener
	gateway net.Listener // nil: no gateway port
	admin   net.Listener // nil: no admin port
	peerTCP net.Listener
	peerUDP net.PacketConn
	gossip  net.Listener
	packets net.PacketConn // of the gossip port
	port    *membership.Port

	self    shardmap.NodeID
	uuid    [16]byte
	cluster [16]byte
	core    *Core
	host    *multiraft.Host
	memory  *lru.Pool // of all values
	peak    peak
	mux     *transport.Mux
	redis   *redis.Server
	forward *forwarder                   // carries the gateway's commands to other nodes
	face    atomic.Pointer[redis.Server] // the same, for events that may come before it stands

	routes   atomic.Pointer[shardmap.Map]
	valueMax atomic.Int64
	tickets  tickets
	wakes    wakes
	stints   stints
	counts   counts
	watch    watch
	stage    atomic.Int32  // see stage
	built    chan struct{} // closed when the core has what the log held, or will never have it
	fit      bool          // it has; read once built is closed
	refusals refusals
	backups  backups
	links    sync.Map // shardmap.NodeID -> struct{}: peers to which a control connection stands

	chat    atomic.Pointer[chat]
	claims  chan membership.Question // capacity 1: another cluster says that this address is its own
	reached chan string              // capacity 1: a host where this node was reached
	failed  chan error               // why this node must end

	dismissed chan struct{} // capacity 1: the node has left the cluster for good

	heir        io.Writer     // has the node's will; nil: nobody
	willChanged chan struct{} // capacity 1; nil without an heir

	mu       sync.Mutex // guards the rest
	addrs    meta.Addresses
	identity multiraft.Identity
	founded  Founding
}

// counts are the figures of the data path.
type counts struct{ hits, misses atomic.Int64 }

func (c *counts) get(found bool) {
	if found {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
}

// New checks the configuration, takes the data directory and opens the ports.
// Whatever is wrong is said in one sentence.
func New(cfg Config, log *zap.Logger) (*Node, error) {
	n := &Node{
		cfg: cfg, log: log, built: make(chan struct{}),
		claims: make(chan membership.Question, 1), reached: make(chan string, 1), failed: make(chan error, 3), dismissed: make(chan struct{}, 1),
	}
	n.tickets.waiting = make(map[uint64]chan shardgroup.Outcome)
	n.wakes.chans = make(map[shardmap.GroupID]chan struct{})
	if err := n.check(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		n.close()
		return nil, n.diskAdvice(err)
	}
	return n, nil
}

func (n *Node) check() (err error) {
	if err := n.cfg.fillAddresses(); err != nil {
		return err
	}
	if n.level, err = ParseLevel(n.cfg.AckLevel, n.cfg.WAL); err != nil {
		return err
	}
	if n.cfg.NumGroups == 0 {
		n.cfg.NumGroups = min(64, n.cfg.NumShards)
	}
	layout := shardmap.Layout{Shards: n.cfg.NumShards, Groups: n.cfg.NumGroups}
	if err := layout.Validate(); err != nil {
		return err
	}
	if per := layout.ShardsPerGroup(); per > shardgroup.MaxShards {
		return fmt.Errorf("numGroups is %d for numShards %d: a group has %d shards at most, so set it to %d or more",
			layout.Groups, layout.Shards, shardgroup.MaxShards, layout.Shards/shardgroup.MaxShards)
	}
	if n.cfg.ReplicationFactor < 1 || n.cfg.ReplicationFactor > 7 {
		return fmt.Errorf("replicationFactor is %d: it must be from 1 to 7", n.cfg.ReplicationFactor)
	}
	if n.cfg.MaxMemoryBytes < memoryMin {
		return fmt.Errorf("maxMemoryBytes is %d: a node needs at least %s", n.cfg.MaxMemoryBytes, About(memoryMin))
	}
	if err := divide(n.cfg.MaxMemoryBytes).check(n.cfg.NumShards); err != nil {
		return err
	}
	if n.cfg.SecretFile == "" {
		return nil
	}
	b, err := os.ReadFile(n.cfg.SecretFile)
	if err != nil {
		return fmt.Errorf("cluster secret: %w; check the name in --cluster-secret-file, and that the user of this process may read it", err)
	}
	if n.secret = []byte(strings.TrimSpace(string(b))); len(n.secret) < 16 {
		return fmt.Errorf("cluster secret: %s holds fewer than 16 characters", n.cfg.SecretFile)
	}
	return nil
}

func (n *Node) open() error {
	path, err := n.cfg.dir()
	if err != nil {
		return err
	}
	if n.dir, err = openDataDir(path); err != nil {
		return err
	}
	if err := n.dir.left(); err != nil {
		return err
	}
	n.begun = multiraft.Now()
	if n.storage, err = multiraft.OpenBolt(n.dir.file("raft.db")); err != nil {
		return err
	}
	if n.start, err = n.storage.Load(); err != nil {
		return err
	}
	n.identity, n.uuid = n.start.Identity, n.start.Identity.UUID
	if n.cfg.ID == "" {
		n.cfg.ID = n.identity.Name
	}
	if n.cfg.ID == "" {
		n.cfg.ID = fmt.Sprintf("node-%x", n.uuid[:4])
	}
	if err := n.openLog(); err != nil {
		return err
	}
	if n.client, err = listen("client", n.cfg.ClientAddr, "--client-addr"); err != nil {
		return err
	}
	if n.peerTCP, err = listen("cluster", n.cfg.ClusterAddr, "--cluster-addr"); err != nil {
		return err
	}
	if n.peerUDP, err = (transport.TCP{}).ListenPacket(n.cfg.ClusterAddr); err != nil {
		return fmt.Errorf("cluster port %s cannot be opened for UDP: %w; choose another with --cluster-addr", n.cfg.ClusterAddr, err)
	}
	if n.gossip, err = listen("gossip", n.cfg.GossipAddr, "--gossip-addr"); err != nil {
		return err
	}
	if n.packets, err = (transport.TCP{}).ListenPacket(n.cfg.GossipAddr); err != nil {
		return fmt.Errorf("gossip port %s cannot be opened for UDP: %w; choose another with --gossip-addr", n.cfg.GossipAddr, err)
	}
	n.addrs = n.cfg.at(n.cfg.announced())
	for _, p := range extraPorts() {
		if err := p.open(n); err != nil {
			return err
		}
	}
	return nil
}

func listen(what, addr, flag string) (net.Listener, error) {
	l, err := (transport.TCP{}).Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("%s port %s cannot be opened: %w; stop what uses it, or choose another with %s", what, addr, err, flag)
	}
	return l, nil
}

func (n *Node) close() {
	for _, c := range []interface{ Close() error }{n.client, n.gateway, n.admin, n.peerTCP, n.peerUDP, n.gossip, n.packets} {
		switch v := c.(type) {
		case net.Listener:
			if v != nil {
				v.Close()
			}
		case net.PacketConn:
			if v != nil {
				v.Close()
			}
		}
	}
	if n.storage != nil {
		n.storage.Close()
	}
	if n.dir != nil {
		n.dir.Close()
	}
}

// Run joins or founds the cluster and serves until ctx ends; then it hands every
// lease over and returns nil. A second signal is the caller's business.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	defer func() { n.memory.Close() }() // the last of all but files and sockets: nobody reads a value any more
	defer n.serveAdmin()()              // before the node has a cluster: probes ask from the start
	n.port = membership.NewPort(n.gossip, n.packets, n.secret, n.answer, func(from net.Addr, err error) { n.refused(0, from.String(), err) })
	defer n.port.Close()
	if err := n.bootstrap(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return n.diskAdvice(err)
	}
	return n.live(ctx)
}

// live is Run once the node has its cluster.
func (n *Node) live(ctx context.Context) error {
	defer n.closeMux()
	if err := n.build(); err != nil {
		close(n.built) // first: what peers have sent already waits for it, and Close for that
		return n.diskAdvice(err)
	}
	var wg sync.WaitGroup
	n.serveClients(&wg)
	n.enter(stageReading)
	err := n.restore(ctx)
	n.fit = err == nil
	close(n.built)
	if err != nil {
		n.shutClients(&wg)
		_ = n.durable.stop()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return n.diskAdvice(err)
	}
	err = n.serve(ctx, &wg)
	if stopped := n.durable.stop(); err == nil { // a log that failed before says it again
		err = stopped
	}
	return n.diskAdvice(err)
}

// closeMux ends the connections to peers, if there were any to be.
func (n *Node) closeMux() {
	if n.mux != nil {
		n.mux.Close()
	}
}

// serveClients opens the doors. As long as the log is read, clients hear LOADING.
func (n *Node) serveClients(wg *sync.WaitGroup) {
	n.redis.SetLoading(n.durable != nil)
	wg.Go(func() {
		if err := n.redis.Serve(n.client); !errors.Is(err, redis.ErrClosed) {
			n.end(err)
		}
	})
	if n.gateway == nil {
		return
	}
	wg.Go(func() {
		if err := n.redis.ServeGateway(n.gateway, n.forward); !errors.Is(err, redis.ErrClosed) {
			n.end(err)
		}
	})
}

// awayMax is how long clients that still have a map in which this node serves are
// waited for. Proxying ends 2 s after a lease was handed over; whoever had an answer by
// it hears MOVED then, and asks for the map within a second.
const awayMax = 4 * time.Second

// sendAway has clients go elsewhere by themselves, for as long as they come. The leases
// are elsewhere by then; the node is still there for its groups, with whole copies.
func (n *Node) sendAway() {
	n.enter(stageEnding)
	ctx, cancel := context.WithTimeout(context.Background(), awayMax)
	defer cancel()
	n.redis.SendAway(ctx)
}

// shutClients ends what serveClients began.
func (n *Node) shutClients(wg *sync.WaitGroup) {
	shut, cancel := context.WithTimeout(context.Background(), clientsMax)
	defer cancel()
	_ = n.redis.Shutdown(shut)
	n.forward.close()
	wg.Wait()
}

// serve takes part in the cluster until ctx ends or something fails.
func (n *Node) serve(ctx context.Context, clients *sync.WaitGroup) (err error) {
	loop, stopLoop := context.WithCancel(context.Background())
	defer stopLoop()
	var host sync.WaitGroup
	host.Go(func() {
		if err := n.host.Run(loop, logged{n.core, n.durable}); err != nil {
			n.end(err)
		}
	})
	n.redis.SetLoading(false)
	n.enter(stageServing)
	chat := n.startChat()
	defer chat.close()
	n.log.Info("serving", zap.String("id", n.cfg.ID), zap.Uint32("node", uint32(n.self)), zap.String("client", n.addresses().Client))
	select {
	case <-ctx.Done():
		n.enter(stageLeaving) // first: who asks hears it before the leases go
		chat.drain()
		n.handOver()
		n.sendAway()
		n.sayGone()
	case <-n.dismissed:
		n.log.Info("this node has left the cluster for good: nothing of it is here any more")
		n.dir.leave()
		n.sendAway()
	case err = <-n.failed:
	}
	n.enter(stageEnding)
	said := chat.goodbye()
	n.shutClients(clients)
	<-said
	stopLoop()
	n.mux.Close()
	host.Wait()
	return err
}

// dismiss makes Run end because the node has left the cluster for good.
func (n *Node) dismiss() {
	select {
	case n.dismissed <- struct{}{}:
	default:
	}
}

// end makes Run end with an error; the first one counts.
func (n *Node) end(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// clientsMax is how long clients that still ask are told to go elsewhere before
// they are closed.
const clientsMax = time.Second

// drainMax is how long a node that leaves tries to hand its leases over.
const drainMax = 2 * time.Second

// handOver hands every lease over.
func (n *Node) handOver() {
	n.log.Info("leaving: handing leases over")
	ctx, cancel := context.WithTimeout(context.Background(), drainMax)
	defer cancel()
	_ = n.host.Do(ctx, func(now multiraft.Instant) { n.core.Drain(now) })
	for done := false; !done; {
		if n.host.Do(ctx, func(multiraft.Instant) { done = n.core.Drained() }) != nil {
			n.log.Warn("not every lease could be handed over in time")
			break
		}
		if !done {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// sayGone says that this incarnation is over.
func (n *Node) sayGone() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.host.Do(ctx, func(now multiraft.Instant) { n.core.Leave(now) })
}

// build puts the core, its host, the peers and the face together.
func (n *Node) build() error {
	n.host = multiraft.NewHost(n.storage)
	n.memory = lru.NewPool(divide(n.cfg.MaxMemoryBytes).stores)
	p := profiles[n.cfg.LeaseProfile]
	n.routes.Store(shardmap.NewMap(n.founded.Settings.Layout()))
	d, layout := divide(n.cfg.MaxMemoryBytes), n.founded.Settings.Layout()
	if err := d.check(layout.Shards); err != nil {
		return err
	}
	n.valueMax.Store(statemachine.ValueBytesMax(d.shardBytes(layout.Shards)))
	n.log.Info("memory divided", zap.Int64("limit", d.limit), zap.Int64("stores", d.stores), zap.Int64("rings", d.rings), zap.Int64("connections", d.buffers),
		zap.Int64("transfers", d.transfers), zap.Int("shards", layout.Shards), zap.Int64("shard", d.shardBytes(layout.Shards)), zap.Int64("valueMax", n.valueMax.Load()))
	n.mux = transport.New(transport.Config{Self: n.identityOnWire(), Secret: n.secret, Network: transport.TCP{}, QueuesMax: d.transfers - backupsMax*(d.transfers/backupPart)}, peerHandler{n}, n.peerTCP, n.peerUDP)
	if n.heir != nil {
		go n.writeWills()
	}
	cfg := CoreConfig{
		Name: n.cfg.ID, Addresses: n.addresses(), Zone: n.cfg.Zone, DataBytes: d.stores, Pool: n.memory, RingBytes: d.rings, BlockBytes: ringBlock(d.rings, layout.Shards),
		FillRate: n.cfg.FillRate, FillPercent: n.cfg.FillPercent, Spent: spent,
		Heartbeat: p.heartbeat, Promise: p.promise,
		ReplaceAfter: n.cfg.ReplaceAfter,
		Recovery:     recoveries[n.cfg.Recovery], Solo: solos[n.cfg.Solo],
		Founding: n.founded, Founder: n.founder(), Written: n.dir.marked(),
		UnderWay: n.stints.underWay,
	}
	r := n.start
	r.Identity = n.identity
	core, err := NewCore(cfg, r, coreEdge{n}, n.begun)
	n.mu.Lock()
	n.core = core
	n.mu.Unlock()
	if err != nil {
		return err
	}
	rc := redis.DefaultConfig()
	rc.Version = Version
	rc.BuffersMax = d.buffers
	rc.MaintNotifications = n.cfg.MaintNotifications != "off"
	rc.Staleness = time.Duration(n.cfg.FollowerStalenessMs) * time.Millisecond
	rc.TrackedMax = int64(n.cfg.TrackedKeysMax)
	n.redis = redis.NewServer(rc, backend{n})
	n.forward = newForwarder()
	if n.durable != nil {
		n.durable.progress.begun = time.Now()
	}
	n.face.Store(n.redis)
	return nil
}

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// system is one of those that are compared, as running processes.
type system struct {
	name   string
	procs  []*process
	addrs  []string            // where clients connect
	owners [shardmap.Slots]int // index into addrs
	single bool                // one address serves all slots
	gen    *generator
}

func (s *system) stop() {
	if s.gen != nil {
		s.gen.close()
	}
	for _, p := range s.procs {
		p.stop()
	}
}

// serverCore is where the i-th server runs: the last cores, never the first, which
// is the generator's.
func serverCore(cores, i int) int {
	if cores < 2 {
		return -1
	}
	return cores - 1 - i%(cores-1)
}

// The ports of servers lie below those that the kernel gives to outgoing connections. One
// of those (port 0) was the simpler way: between its choice and the server's start
// anybody's connection may take it, even the one that asks whether the server is up,
// which then answers itself.
const firstPort, lastPort = 12000, 20000

var nextPort = firstPort + os.Getpid()%100*80

// freePorts finds ports that nobody listens on, others each time.
func freePorts(n int) (ports []int, err error) {
	for range lastPort - firstPort {
		if len(ports) == n {
			return ports, nil
		}
		if nextPort++; nextPort >= lastPort {
			nextPort = firstPort
		}
		if portFree(nextPort) {
			ports = append(ports, nextPort)
		}
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, firstPort, lastPort)
}

// portFree says whether a server may listen there, TCP and UDP.
func portFree(port int) bool {
	l, err := net.Listen("tcp", local(port))
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", local(port))
	if err != nil {
		return false
	}
	return p.Close() == nil
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// startAegis runs n nodes, with more flags; with three, every key has three copies.
func startAegis(binary, dir string, n, cores int, more ...string) (*system, error) {
	s := &system{name: "aegis"}
	ports, err := freePorts(3 * n)
	if err != nil {
		return s, err
	}
	var seeds []string
	for i := range n {
		seeds = append(seeds, local(ports[3*i+2]))
	}
	for i := range n {
		args := []string{
			"--id", fmt.Sprintf("bench%d", i+1), "--data-dir", filepath.Join(dir, "aegis"), "--lease-profile", "noisy", "--log-level", "warn",
			"--client-addr", local(ports[3*i]), "--cluster-addr", local(ports[3*i+1]), "--gossip-addr", local(ports[3*i+2]), "--gateway-addr", "off", "--admin-addr", "off",
		}
		args = append(args, more...)
		if n > 1 {
			args = append(args, "--seeds", strings.Join(seeds, ","))
		}
		p, err := start(serverCore(cores, i), binary, args...)
		if err != nil {
			return s, err
		}
		s.procs, s.addrs = append(s.procs, p), append(s.addrs, local(ports[3*i]))
	}
	return s, nil
}

// startRedis runs redis-server, with more flags; with n > 1 as a primary with replicas.
func startRedis(binary, dir string, n, cores int, more ...string) (*system, error) {
	s := &system{name: "redis", single: true}
	ports, err := freePorts(n)
	if err != nil {
		return s, err
	}
	for i, port := range ports {
		own := filepath.Join(dir, fmt.Sprintf("redis%d", i+1))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return s, err
		}
		args := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", own, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"}
		args = append(args, more...)
		if i > 0 {
			args = append(args, "--replicaof", "127.0.0.1 "+strconv.Itoa(ports[0]))
		}
		p, err := start(serverCore(cores, i), binary, args...)
		if err != nil {
			return s, err
		}
		s.procs = append(s.procs, p)
	}
	s.addrs = []string{local(ports[0])}
	return s, nil
}

// programs says what is measured: the version of ours, and where the redis-server beside
// it is, "" when there is none, and which or why not.
func programs(ours, theirs string) (aegis, redis, version string, err error) {
	out, err := exec.Command(ours, "version").Output()
	if err != nil {
		return "", "", "", fmt.Errorf("%s cannot be run: %w (make build)", ours, err)
	}
	aegis = strings.TrimSpace(string(out))
	if redis, err = exec.LookPath(theirs); err == nil {
		version, err = redisVersion(redis)
	}
	if err != nil {
		return aegis, "", fmt.Sprintf("nothing (%s is not installed: apt-get install redis-server)", theirs), nil
	}
	return aegis, redis, version, nil
}

// redisVersion is the first words of redis-server --version.
func redisVersion(binary string) (string, error) {
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return "", err
	}
	for _, f := range strings.Fields(string(out)) {
		if v, ok := strings.CutPrefix(f, "v="); ok {
			return "redis-server " + v, nil
		}
	}
	return "redis-server", nil
}

// startMax is how long a system may take until every key has its copies.
const startMax = 2 * time.Minute

var errNotYet = errors.New("not yet")

// await tries until it works or a process has ended.
func (s *system) await(what string, try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startMax); ; <-tick.C {
		err := try()
		if err == nil {
			return nil
		}
		for _, p := range s.procs {
			if e := p.dead(); e != nil {
				return e
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s did not come within %v: %w", s.name, what, startMax, err)
		}
	}
}

// ask sends one command on a connection of its own.
func ask(addr string, words ...string) (resp.Reply, error) {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return resp.Reply{}, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write(resp.AppendCommand(nil, words...)); err != nil {
		return resp.Reply{}, err
	}
	return resp.ReadReply(bufio.NewReader(nc))
}

// findOwners reads who serves which slot; an error while some slot is not served.
func (s *system) findOwners() error {
	if s.single {
		_, err := ask(s.addrs[0], "PING")
		return err
	}
	v, err := ask(s.addrs[0], "CLUSTER", "SLOTS")
	if err != nil {
		return err
	}
	return s.readSlots(v)
}

// readSlots takes a CLUSTER SLOTS reply; errNotYet while it has holes.
func (s *system) readSlots(v resp.Reply) error {
	if v.IsError() {
		return errNotYet
	}
	spans, err := load.ParseSlots(v, s.addrs[0])
	if err != nil {
		return errNotYet
	}
	covered := 0
	for _, span := range spans {
		i := slices.Index(s.addrs, span.Addr)
		if i < 0 {
			return errNotYet
		}
		for slot := span.First; slot <= span.Last; slot++ {
			s.owners[slot] = i
			covered++
		}
	}
	if covered != shardmap.Slots {
		return errNotYet
	}
	return nil
}

package node

import (
	"fmt"
	"maps"
	"math/bits"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Loaded is a Config as an operator stated it, complete and checked, with what the
// process around the node needs and where every value comes from.
type Loaded struct {
	Config
	LogLevel  string
	LogFormat string
	// NoSupervise makes the process itself the node, not the parent of one.
	NoSupervise bool
	Usable      Usable   // memory of this process at most
	Warnings    []string // what an operator should look at, a sentence each

	origins map[string]string // by key; absent = default
}

// Origin says where the value of a key comes from.
func (c *Loaded) Origin(key string) string {
	if o := c.origins[key]; o != "" {
		return o
	}
	return "default"
}

// Text is the value of a key as a user would write it.
func (c *Loaded) Text(key string) string {
	s, ok := settingOf(key)
	if !ok {
		return ""
	}
	return s.write(c)
}

// Sources are the places that values come from, strongest first.
type Sources struct {
	Flags    map[string]string // by flag name without dashes, any spelling of the table
	Environ  []string          // as os.Environ gives it
	File     string            // path of the configuration file, "" = none
	ReadFile func(string) ([]byte, error)
}

// LoadConfig reads all sources and checks the result: flag over environment over
// file over default. Every source is read to the end and strictly, so a mistake in
// a value that another source overrides is an error too.
func LoadConfig(s Sources) (*Loaded, error) {
	if s.ReadFile == nil {
		s.ReadFile = os.ReadFile
	}
	c := &Loaded{origins: make(map[string]string)}
	c.Stated = make(map[string]bool)
	for _, row := range table {
		if row.Default == "" {
			continue
		}
		if err := row.read(c, row.Default); err != nil {
			return nil, fmt.Errorf("the default of %s: %w", row.Key, err)
		}
	}
	for _, load := range []func(Sources) error{c.loadFile, c.loadEnviron, c.loadFlags} {
		if err := load(s); err != nil {
			return nil, err
		}
	}
	if err := c.complete(s.ReadFile); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// set takes one value of one source.
func (c *Loaded) set(row Setting, value, origin string) error {
	if err := row.read(c, value); err != nil {
		return fmt.Errorf("%s: %w", origin, err)
	}
	c.origins[row.Key], c.Stated[row.Key] = origin, true
	return nil
}

func (c *Loaded) loadFile(s Sources) error {
	if s.File == "" {
		return nil
	}
	b, err := s.ReadFile(s.File)
	if err != nil {
		return fmt.Errorf("configuration file: %w; check --config", err)
	}
	values, err := parseFile(b)
	if err != nil {
		return fmt.Errorf("%s:%w", s.File, err)
	}
	for _, v := range values {
		if err := c.set(v.row, v.text, fmt.Sprintf("%s:%s", s.File, v.at)); err != nil {
			return fmt.Errorf("%w (key %s)", err, v.row.Key)
		}
	}
	return nil
}

// serviceVariable matches what Kubernetes injects for a service called aegis-...;
// those are no settings of ours and must not stop a node.
var serviceVariable = regexp.MustCompile(`^AEGIS_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP).*)?)$`)

// ToolVariable says which nodes the commands that speak to running nodes ask. It is no
// setting of a node, and must not stop one that is started from the same shell.
const ToolVariable = envPrefix + "ADDR"

func (c *Loaded) loadEnviron(s Sources) error {
	byEnv := make(map[string]Setting, len(table))
	for _, row := range table {
		byEnv[row.Env()] = row
	}
	for _, kv := range s.Environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" || name == ToolVariable || strings.HasPrefix(name, envPrefix+"TEST_") {
			continue
		}
		row, ok := byEnv[name]
		if !ok && serviceVariable.MatchString(name) {
			continue
		}
		if !ok {
			return fmt.Errorf("unknown environment variable %s; the nearest is %s", name, Nearest(name, slices.Sorted(maps.Keys(byEnv))))
		}
		if err := c.set(row, value, "environment "+name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Loaded) loadFlags(s Sources) error {
	byFlag := make(map[string]Setting, 2*len(table))
	for _, row := range table {
		byFlag[row.Kebab()], byFlag[row.Flag()] = row, row
	}
	given := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		row, ok := byFlag[name]
		if !ok {
			return fmt.Errorf("unknown flag --%s; the nearest is --%s", name, NearestFlag(name))
		}
		if other := given[row.Key]; other != "" {
			return fmt.Errorf("--%s and --%s are two spellings of one setting; give one", other, name)
		}
		given[row.Key] = name
		if err := c.set(row, s.Flags[name], "--"+name); err != nil {
			return err
		}
	}
	return nil
}

// NearestFlag names the flag that is spelt most like name.
func NearestFlag(name string) string {
	names := []string{"config"}
	for _, row := range table {
		names = append(names, row.Flag(), row.Kebab())
	}
	slices.Sort(names)
	return Nearest(name, names)
}

// complete fills in what follows from other values.
func (c *Loaded) complete(readFile func(string) ([]byte, error)) error {
	if c.ClusterAddr == "" {
		host, port, _ := net.SplitHostPort(c.ClientAddr)
		n, _ := strconv.Atoi(port)
		if n == 65535 {
			return fmt.Errorf("--client-addr %s leaves no next port for the cluster; give --cluster-addr", c.ClientAddr)
		}
		c.ClusterAddr = net.JoinHostPort(host, strconv.Itoa(n+1))
	}
	for _, p := range extraPorts() {
		p.fill(c)
	}
	if c.NumGroups == 0 {
		c.NumGroups = min(64, c.NumShards)
	}
	c.Usable = usable(readFile)
	if err := c.fitMemory(); err != nil {
		return err
	}
	c.warnOfMappings(limitFile(readFile, mappingsFile))
	return nil
}

// check looks at values that must fit each other.
func (c *Loaded) check() error {
	if bits.OnesCount(uint(c.NumShards)) != 1 {
		return fmt.Errorf("%s: numShards is %d; it must be a power of two, like %d", c.Origin("numShards"), c.NumShards, 1<<(bits.Len(uint(c.NumShards))-1))
	}
	if c.NumGroups > c.NumShards || c.NumShards%c.NumGroups != 0 {
		return fmt.Errorf("%s: numGroups is %d; it must divide numShards (%d)", c.Origin("numGroups"), c.NumGroups, c.NumShards)
	}
	if c.Expect > 1 && len(c.Seeds) == 0 {
		return fmt.Errorf("%s: %d nodes cannot found a cluster together without --seeds", c.Origin("expect"), c.Expect)
	}
	planes := c.planes()
	for i, a := range planes {
		for _, b := range planes[:i] {
			if collide(a.addr, b.addr) {
				return fmt.Errorf("%s %s and %s %s are the same port; give one of them another", b.flag, b.addr, a.flag, a.addr)
			}
		}
	}
	return nil
}

// collide reports whether two listeners want the same port of the same host.
func collide(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && (hostA == hostB || anyHost(hostA) || anyHost(hostB))
}

func anyHost(h string) bool { return h == "" || h == "0.0.0.0" || h == "::" }

package client

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Option changes a configuration, for Open.
type Option func(*Config)

// WithTimeout ends calls whose context has no deadline after d: Config.Timeout.
func WithTimeout(d time.Duration) Option { return func(c *Config) { c.Timeout = d } }

// WithLogin is the name and password to log in with; "" is the default user.
func WithLogin(username, password string) Option {
	return func(c *Config) { c.Username, c.Password = username, password }
}

// WithConns is the number of connections to each node: Config.ConnsPerNode.
func WithConns(n int) Option { return func(c *Config) { c.ConnsPerNode = n } }

// WithDurability is how many copies a write waits for: Config.Durability.
func WithDurability(level string) Option { return func(c *Config) { c.Durability = level } }

// WithFollowerReads lets followers answer reads with what they had maxStale before:
// Config.MaxStale.
func WithFollowerReads(maxStale time.Duration) Option {
	return func(c *Config) { c.MaxStale = maxStale }
}

// WithLosses makes the client report lost writes, to f too when it is not nil:
// Config.Losses and Config.OnLost.
func WithLosses(f func(*LostWritesError)) Option {
	return func(c *Config) { c.Losses, c.OnLost = true, f }
}

// WithHooks adds hooks: Config.Hooks.
func WithHooks(hooks ...Hook) Option {
	return func(c *Config) { c.Hooks = append(c.Hooks, hooks...) }
}

// WithLogger tells l what befalls the client: Config.Logger.
func WithLogger(l *slog.Logger) Option { return func(c *Config) { c.Logger = l } }

// Open is New for a target in one word, which fits a flag or a variable:
//
//	aegis://user:password@host1:7000,host2:7000?timeout=500ms&conns=4
//
// Without a port a host means port 7000. The settings behind "?" are timeout, dial,
// stall, refresh, stale (durations; the last is MaxStale), conns, inflight (numbers), name, durability and losses (true,
// false), as the fields of Config; options come after them and may change
// anything. Like New it never returns nil.
func Open(target string, options ...Option) (*Client, error) {
	cfg, err := parseTarget(target)
	for _, o := range options {
		o(&cfg)
	}
	if err != nil {
		cfg.bad = err
	}
	return New(cfg)
}

const (
	targetScheme = "aegis://"
	defaultPort  = "7000"
)

// parseTarget takes a target apart. The list of hosts is no host to package url, which
// gets the rest.
func parseTarget(target string) (Config, error) {
	cfg := DefaultConfig(nil)
	rest, ok := strings.CutPrefix(target, targetScheme)
	if !ok {
		return cfg, fmt.Errorf("%w: target %q does not begin with %s", ErrConfig, hidden(target), targetScheme)
	}
	rest, settings, _ := strings.Cut(rest, "?")
	login := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		login, rest = rest[:at], rest[at+1:]
	}
	for host := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), ",") {
		cfg.Seeds = append(cfg.Seeds, withPort(host))
	}
	u, err := url.Parse(targetScheme + login + "@host")
	if err != nil {
		return cfg, fmt.Errorf("%w: the login before @ is not understood", ErrConfig) // err would show the password
	}
	cfg.Username = u.User.Username()
	cfg.Password, _ = u.User.Password()
	values, err := url.ParseQuery(settings)
	if err != nil {
		return cfg, fmt.Errorf("%w: %q: %w", ErrConfig, settings, err)
	}
	for name, all := range values {
		if err := cfg.setWord(name, all[len(all)-1]); err != nil {
			return cfg, fmt.Errorf("%w: %s=%s: %w", ErrConfig, name, all[len(all)-1], err)
		}
	}
	return cfg, nil
}

// setWord takes one setting of a target.
func (c *Config) setWord(name, word string) (err error) {
	switch name {
	case "timeout":
		c.Timeout, err = time.ParseDuration(word)
	case "dial":
		c.DialTimeout, err = time.ParseDuration(word)
	case "stall":
		c.StallTimeout, err = time.ParseDuration(word)
	case "refresh":
		c.RefreshEvery, err = time.ParseDuration(word)
	case "stale":
		c.MaxStale, err = time.ParseDuration(word)
	case "conns":
		c.ConnsPerNode, err = strconv.Atoi(word)
	case "inflight":
		c.MaxInflight, err = strconv.Atoi(word)
	case "losses":
		c.Losses, err = strconv.ParseBool(word)
	case "name":
		c.Name = word
	case "durability":
		c.Durability = word
	default:
		err = fmt.Errorf("no such setting; there are timeout, dial, stall, refresh, stale, conns, inflight, losses, name, durability")
	}
	return err
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil || host == "" {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
}

// hidden is a target without what may be a password.
func hidden(target string) string {
	if at := strings.LastIndexByte(target, '@'); at >= 0 {
		return "..." + target[at:]
	}
	return target
}

package client

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// libVersion is what CLIENT SETINFO LIB-VER says.
const libVersion = "0.1.0"

// dial connects, shakes hands, and gives a connection whose loops are not started yet.
func dial(ctx context.Context, cfg *Config, addr, durability string, tick *atomic.Int64) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	nc, err := open(ctx, cfg, addr)
	if err != nil {
		return nil, err
	}
	if until, ok := ctx.Deadline(); ok {
		_ = nc.SetDeadline(until) // a connection without deadlines only loses the bound of the handshake
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	c := &conn{
		nc: nc, addr: addr, tick: tick,
		lim:  limits{cfg.MaxInflight, cfg.MaxQueueBytes},
		wake: make(chan struct{}, 1),
		gone: make(chan struct{}),
	}
	c.read = bufio.NewReaderSize(c, 64<<10)
	if err = c.handshake(cfg, durability); err == nil && stop() {
		_ = nc.SetDeadline(time.Time{})
		return c, nil
	}
	_ = nc.Close()
	if err == nil || ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("handshake with %s: %w", addr, err)
}

func open(ctx context.Context, cfg *Config, addr string) (net.Conn, error) {
	if cfg.Dial != nil {
		return cfg.Dial(ctx, addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// handshake speaks RESP3 where the server knows it, else RESP2. What the server
// may refuse without harm (CLIENT SETINFO) travels along and its answer is dropped.
func (c *conn) handshake(cfg *Config, durability string) error {
	hello := []string{"HELLO", "3"}
	if cfg.Password != "" {
		hello = append(hello, "AUTH", orDefault(cfg.Username, "default"), cfg.Password)
	}
	answers, err := c.ask(append(hello, "SETNAME", cfg.Name),
		[]string{"CLIENT", "CAPA", "aegis"}, // epoch and version beside each answer
		[]string{"CLIENT", "SETINFO", "LIB-NAME", "aegiskv-go"},
		[]string{"CLIENT", "SETINFO", "LIB-VER", libVersion},
		clockCommand.words)
	if err != nil {
		return err
	}
	if clock := answers[4]; clock.Kind == ':' {
		c.deadlines.base = time.Now()
		c.deadlines.heard(time.Duration(clock.Int)*time.Microsecond, c.deadlines.base)
	}
	if e := errorOf(answers[0]); e != nil {
		if !oldServer(e) {
			return e
		}
		if err := c.handshakeOld(cfg); err != nil {
			return err
		}
	} else if cfg.Near.MaxBytes > 0 {
		answers, err := c.ask([]string{"CLIENT", "TRACKING", "ON", "OPTIN"}) // of reads behind cachingYes
		if err != nil {
			return err
		}
		c.tracking = !answers[0].IsError() // without it the node is asked every time
	}
	if durability == "" {
		return nil
	}
	answers, err = c.ask([]string{"AEGIS.DURABILITY", durability})
	if err == nil {
		err = plain(errorOf(answers[0]))
	}
	return err
}

// handshakeOld is the RESP2 way of saying who we are.
func (c *conn) handshakeOld(cfg *Config) error {
	if cfg.Password != "" {
		auth := []string{"AUTH", cfg.Username, cfg.Password}
		if cfg.Username == "" {
			auth = []string{"AUTH", cfg.Password}
		}
		answers, err := c.ask(auth)
		if err != nil {
			return err
		}
		if e := errorOf(answers[0]); e != nil {
			return e
		}
	}
	_, err := c.ask([]string{"CLIENT", "SETNAME", cfg.Name}) // a server without it is fine too
	return err
}

// oldServer says that HELLO 3 is not known, which is no reason to give up.
func oldServer(e *ServerError) bool {
	return e.Code == "NOPROTO" || e.Code == "ERR" && strings.Contains(strings.ToLower(e.Text), "unknown command")
}

// ask sends commands and reads their answers, before the loops have started.
func (c *conn) ask(commands ...[]string) ([]resp.Reply, error) {
	var b []byte
	for _, words := range commands {
		b = resp.AppendCommand(b, words...)
	}
	if _, err := c.nc.Write(b); err != nil {
		return nil, err
	}
	answers := make([]resp.Reply, 0, len(commands))
	for len(answers) < len(commands) {
		r, err := resp.ReadReply(c.read)
		if err != nil {
			return nil, err
		}
		if r.Kind != '>' {
			answers = append(answers, r)
		}
	}
	return answers, nil
}

// errorOf is the server error in an answer, nil when it is none.
func errorOf(r resp.Reply) *ServerError {
	if !r.IsError() {
		return nil
	}
	text := string(r.Text)
	code, _, _ := strings.Cut(text, " ")
	return &ServerError{Code: code, Text: text}
}

// plain is the error as an interface that is nil when there is none.
func plain(e *ServerError) error {
	if e == nil {
		return nil
	}
	return e
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

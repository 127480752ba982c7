package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Session is a view of the cluster that does not go back: what was written or read in it is
// read again by every later call of the session, whatever connections, nodes and
// processes the calls go through, or the call answers ErrLostWrites, once.
//
// It keeps, shard by shard, the highest version that it wrote or saw. A leaseholder's copy
// of a shard only moves forward, so as long as the same node answers under the same
// map nothing needs to be asked. When either changes, the node is asked whether that version
// is part of its history (AEGIS.CHECK), before the answer of a read is given to the caller.
//
// With Config.MaxStale followers answer reads of a session too, those whose copies have all
// that the session wrote and saw in the shard; a write of the session costs its next
// reads no more than a way to the leaseholder.
//
// A session may be used by any number of goroutines. That a
// key was missing has no version: when a failover brings back what another client
// deleted, the session does not notice.
type Session struct {
	c *Client

	mu      sync.Mutex // guards everything below
	cluster string     // id in tokens, "" until a node told it
	layout  shardmap.Layout
	marks   map[shardmap.ShardID]*sessionMark // rules
}

// Session begins an empty session.
func (c *Client) Session() *Session {
	return &Session{c: c, marks: map[shardmap.ShardID]*sessionMark{}}
}

// ResumeSession continues the session that gave the token, in this or in another process.
func (c *Client) ResumeSession(token string) (*Session, error) {
	s := c.Session()
	if token == "" {
		return s, nil
	}
	cluster, marks, ok := parseToken(token)
	if !ok {
		return nil, fmt.Errorf("%w: %q is not the token of a session", ErrConfig, shorten(token))
	}
	s.cluster = cluster
	for _, m := range marks {
		s.markLocked(m.shard).doubt(m.version)
	}
	return s, nil
}

// Token names all that the session wrote and saw, for ResumeSession. It is a word without
// spaces, some 20 bytes for every shard touched.
func (s *Session) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == "" {
		return ""
	}
	var marks []mark
	for shard, m := range s.marks {
		for _, v := range m.versions() {
			marks = append(marks, mark{shard: shard, version: v})
		}
	}
	return appendToken(s.cluster, merged(marks))
}

// appendToken writes a token as AEGIS.TOKEN does: "1:<cluster>:<shard>.<version>,...".
func appendToken(cluster string, marks []mark) string {
	b := append([]byte("1:"), cluster...)
	for i, m := range marks {
		b = append(b, ":,"[min(i, 1)])
		b = strconv.AppendUint(b, uint64(m.shard), 10)
		b = strconv.AppendUint(append(b, '.'), uint64(m.version), 10)
	}
	if len(marks) == 0 {
		b = append(b, ':')
	}
	return string(b)
}

// parseToken reads one.
func parseToken(token string) (cluster string, marks []mark, ok bool) {
	parts := strings.SplitN(token, ":", 3)
	if len(parts) != 3 || parts[0] != "1" || parts[1] == "" {
		return "", nil, false
	}
	for f := range strings.SplitSeq(parts[2], ",") {
		if f == "" && parts[2] == "" {
			break
		}
		shard, version, _ := strings.Cut(f, ".")
		id, err1 := strconv.ParseUint(shard, 10, 16)
		v, err2 := strconv.ParseUint(version, 10, 63)
		if err1 != nil || err2 != nil || id >= shardmap.Slots || len(marks) >= shardmap.Slots {
			return "", nil, false
		}
		marks = append(marks, mark{shard: shardmap.ShardID(id), version: shardmap.Version(v)})
	}
	return parts[1], marks, true
}

// do runs a command and takes note of its answer. A loss that a read finds is its
// answer; what a write finds waits for the shard's next call, as the write itself has been
// applied.
func (s *Session) do(ctx context.Context, cmd command) (answer, error) {
	jobs := [1]job{{cmd: cmd}}
	s.doAll(ctx, jobs[:])
	return jobs[0].answer, jobs[0].err
}

// doAll is do for several commands that travel together.
func (s *Session) doAll(ctx context.Context, jobs []job) {
	shards := make([]shardmap.ShardID, len(jobs))
	good := make([]job, 0, len(jobs))
	at := make([]int, 0, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		if shards[i], j.err = s.shardOf(ctx, j.cmd.key); j.err != nil {
			continue
		}
		if lost := s.tell(shards[i]); lost != nil {
			j.err = s.opError(&j.cmd, "", lost)
			continue
		}
		s.allow(shards[i], &j.cmd)
		good, at = append(good, *j), append(at, i)
	}
	s.c.doAll(ctx, good)
	for g, i := range at {
		jobs[i] = good[g]
		jobs[i].answer, jobs[i].err = s.believe(ctx, shards[i], &jobs[i].cmd, good[g].answer, good[g].err)
	}
}

// allow lets a follower answer a read that has in its copy what the session saw, where the
// client's configuration wants followers to.
func (s *Session) allow(shard shardmap.ShardID, cmd *command) {
	if cmd.writes() || s.c.cfg.MaxStale == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if least, ok := s.markLocked(shard).follow(s.c.now()); ok {
		cmd.stale, cmd.least = s.c.cfg.MaxStale, least
	}
}

// believe is what the caller gets of an answer.
func (s *Session) believe(ctx context.Context, shard shardmap.ShardID, cmd *command, a answer, err error) (answer, error) {
	if s.c.cfg.MaxStale > 0 && (err != nil || a.version == 0) {
		s.mu.Lock()
		s.markLocked(shard).blind(s.c.now() + s.c.cfg.MaxStale)
		s.mu.Unlock()
	}
	if err != nil {
		return answer{}, err
	}
	if a.epoch == 0 {
		return answer{}, s.opError(cmd, a.node, errNoVersions)
	}
	if a.conn.lane == laneCopies {
		s.mu.Lock()
		s.markLocked(shard).followed(a.version)
		s.mu.Unlock()
		return a, nil
	}
	final, err := s.prove(ctx, shard, a)
	if cmd.writes() {
		return a, nil
	}
	if lost := s.tell(shard); lost != nil {
		return answer{}, s.opError(cmd, a.node, lost)
	}
	if !final {
		return answer{}, s.opError(cmd, a.node, because(ErrUnavailable, orElse(err, errUnproved)))
	}
	return a, nil
}

// errUnproved is the end of a read before any leaseholder said what became of the
// session's versions.
var errUnproved = errors.New("client: nobody could tell yet whether what the session saw is still there")

func (s *Session) opError(cmd *command, node string, err error) error {
	return &OpError{Op: cmd.name(), Key: cmd.key, Node: node, Attempts: 1, Err: err}
}

func (s *Session) tell(shard shardmap.ShardID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.markLocked(shard)
	lost := m.tell()
	if lost == nil {
		return nil
	}
	m.blind(s.c.now() + s.c.cfg.MaxStale) // with what was lost older versions were forgotten, which survive
	return lost
}

// prove asks what became of the versions that an answer puts in doubt, a write once and
// a read until there is a verdict on each or its time is over.
func (s *Session) prove(ctx context.Context, shard shardmap.ShardID, a answer) (final bool, err error) {
	p := place{a.node, a.conn.life, a.epoch}
	s.mu.Lock()
	ask := s.markLocked(shard).sees(p, a.version)
	s.mu.Unlock()
	if len(ask) == 0 {
		return true, nil
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.c.cfg.Timeout)
		defer cancel()
	}
	for pauses := 0; ; pauses++ {
		if s.judge(ctx, shard, p, ask) {
			return true, nil
		}
		if err := s.c.idle(ctx, pollPause(pauses, rand.Float64())); err != nil {
			return false, err
		}
	}
}

// judge asks the node that answered, and everybody where it has no verdict.
func (s *Session) judge(ctx context.Context, shard shardmap.ShardID, p place, versions []shardmap.Version) bool {
	s.mu.Lock()
	var marks []mark
	for _, v := range versions {
		marks = append(marks, mark{shard: shard, version: v})
	}
	token := appendToken(s.cluster, marks)
	s.mu.Unlock()
	verdicts, ok := s.check(ctx, p.node, token)
	if !ok || slices.ContainsFunc(verdicts, func(m mark) bool { return m.word == verdictUnknown }) {
		p = place{}
		for _, r := range s.c.askAll(ctx, "AEGIS.CHECK", token) {
			more, _ := parseVerdicts(r)
			verdicts = append(verdicts, more...)
		}
		if verdicts = merged(verdicts); len(verdicts) == 0 {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.markLocked(shard).judged(shard, p, verdicts)
}

// check asks one node.
func (s *Session) check(ctx context.Context, addr, token string) ([]mark, bool) {
	n, err := s.c.node(addr)
	if err != nil {
		return nil, false
	}
	var w patience
	w.begin(ctx, s.c.cfg.Timeout)
	defer w.end()
	a, err := n.roundTrip(&w, &command{op: opControl, words: []string{"AEGIS.CHECK", token}}, 0)
	if err != nil {
		return nil, false
	}
	return parseVerdicts(a.Reply)
}

// shardOf is the shard of a key. The first call asks the key's node how many there are, and
// for the name of the cluster.
func (s *Session) shardOf(ctx context.Context, key string) (shardmap.ShardID, error) {
	s.mu.Lock()
	layout := s.layout
	s.mu.Unlock()
	if layout.Shards == 0 {
		var err error
		if layout, err = s.introduce(ctx, key); err != nil {
			return 0, err
		}
	}
	return layout.ShardOf(shardmap.SlotOfString(key)), nil
}

func (s *Session) introduce(ctx context.Context, key string) (shardmap.Layout, error) {
	a, err := s.c.do(ctx, &command{op: opRead, key: key, words: []string{"CONFIG", "GET", "num*hards"}})
	if err != nil {
		return shardmap.Layout{}, err
	}
	layout, known := parseLayout(a.Reply)
	a, err = s.c.do(ctx, &command{op: opRead, key: key, words: []string{"AEGIS.TOKEN"}})
	if err != nil {
		return shardmap.Layout{}, err
	}
	cluster, _, ok := parseToken(string(a.Text))
	if !known || !ok {
		return shardmap.Layout{}, &OpError{Op: "SESSION", Key: key, Node: a.node, Err: errNoVersions}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != "" && s.cluster != cluster {
		return shardmap.Layout{}, &OpError{Op: "SESSION", Key: key, Node: a.node, Err: fmt.Errorf("%w: the session's token is from another cluster", ErrLostWrites)}
	}
	s.cluster, s.layout = cluster, layout
	return layout, nil
}

func (s *Session) markLocked(shard shardmap.ShardID) *sessionMark {
	m := s.marks[shard]
	if m == nil {
		m = &sessionMark{}
		s.marks[shard] = m
	}
	return m
}

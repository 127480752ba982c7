package suite

import (
	"bufio"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// line is a plain connection to one node, as any Redis client has it: one command at a
// time, and nothing that retries behind its back.
type line struct {
	net.Conn
	in   *bufio.Reader
	addr string
}

const dialMax = 200 * time.Millisecond

// dial opens a line. level is what its writes wait for.
func dial(addr, level string, follower bool) (*line, error) {
	c, err := net.DialTimeout("tcp", addr, dialMax)
	if err != nil {
		return nil, err
	}
	l := &line{c, bufio.NewReader(c), addr}
	words := [][]string{{"HELLO", "3"}, {"CLIENT", "CAPA", "aegis"}, {"AEGIS.DURABILITY", level}}
	if follower {
		words = append(words, []string{"READONLY"})
	}
	if err := l.greet(dialMax, words...); err != nil {
		_ = c.Close()
		return nil, err
	}
	return l, nil
}

// greet says what a connection begins with.
func (l *line) greet(limit time.Duration, words ...[]string) error {
	for _, w := range words {
		a, err := l.do(limit, w...)
		if err == nil && a.IsError() {
			err = errors.New(string(a.Text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// said is a reply with the versions that the node told beside it.
type said struct {
	resp.Reply
	versions []shardmap.Version
}

// errNotSent is the end of a command that has not left: the node cannot have it.
var errNotSent = errors.New("the connection had ended before the command left")

// ended looks whether the node has closed the line, as the pools of clients do before a
// connection is used again: the socket takes a command although nobody will read it, and
// it would count as one whose outcome is not known. Pushes that came before the end are
// dropped.
func (l *line) ended() bool {
	for {
		if l.in.Buffered() == 0 {
			if n, closed := l.waiting(); n == 0 {
				return closed
			}
		}
		if r, err := resp.ReadReply(l.in); err != nil || r.Kind != '>' {
			return true // a reply to nothing
		}
	}
}

// waiting says how many bytes have arrived, without waiting for any, or that none will.
func (l *line) waiting() (n int, closed bool) {
	raw, err := l.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, true
	}
	look := func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	switch gone := raw.Control(look); {
	case gone != nil:
		return 0, true
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, false
	case err != nil:
		return 0, true
	}
	return n, n == 0
}

// do sends a command and waits for its reply. After an error the line is of no use.
func (l *line) do(limit time.Duration, words ...string) (a said, err error) {
	_ = l.SetDeadline(time.Now().Add(limit))
	if l.ended() {
		return a, errNotSent
	}
	if n, err := l.Write(resp.AppendCommand(nil, words...)); err != nil {
		if n == 0 && !errors.Is(err, net.ErrClosed) {
			return a, errors.Join(errNotSent, err)
		}
		return a, err
	}
	return l.reply()
}

// reply waits for the next reply; pushes before it are dropped.
func (l *line) reply() (a said, err error) {
	for {
		b, err := l.in.Peek(1)
		if err != nil {
			return a, err
		}
		if b[0] == '|' {
			if a.versions, err = versionsBefore(l.in); err != nil {
				return a, err
			}
			continue
		}
		if a.Reply, err = resp.ReadReply(l.in); err != nil || a.Kind != '>' {
			return a, err
		}
	}
}

// versionsBefore reads the attributes before a reply, and gives the versions in them.
func versionsBefore(in *bufio.Reader) (versions []shardmap.Version, err error) {
	_, n, err := resp.ReadHead(in)
	for ; err == nil && n > 0; n-- {
		var name, value resp.Reply
		if name, err = resp.ReadReply(in); err != nil {
			break
		}
		if value, err = resp.ReadReply(in); err == nil && string(name.Text) == "v" {
			versions = versionsOf(value)
		}
	}
	return versions, err
}

func versionsOf(r resp.Reply) (vs []shardmap.Version) {
	if r.Kind == ':' {
		return []shardmap.Version{shardmap.Version(r.Int)}
	}
	for _, i := range r.Items {
		vs = append(vs, shardmap.Version(i.Int))
	}
	return vs
}

// version is the only one, 0 when there is none.
func (a *said) version() shardmap.Version {
	if len(a.versions) != 1 {
		return 0
	}
	return a.versions[0]
}

// word is the first word of an error reply.
func word(r resp.Reply) string {
	w, _, _ := strings.Cut(string(r.Text), " ")
	return w
}

// moved is where a MOVED points to.
func moved(r resp.Reply) (addr string, ok bool) {
	w := strings.Fields(string(r.Text))
	if len(w) != 3 || w[0] != "MOVED" {
		return "", false
	}
	if _, err := strconv.Atoi(w[1]); err != nil {
		return "", false
	}
	return w[2], true
}

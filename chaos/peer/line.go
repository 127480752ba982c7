package peer

import (
	"bufio"
	"errors"
	"net"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// dialLimit is how long a connection to a process of this machine may take.
const dialLimit = 200 * time.Millisecond

// line is one connection. Not safe for concurrent use.
type line struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*line, error) {
	c, err := net.DialTimeout("tcp", addr, dialLimit)
	if err != nil {
		return nil, err
	}
	return &line{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// call sends commands in one packet and reads an answer for each.
func (l *line) call(limit time.Duration, commands ...[]string) ([]resp.Reply, error) {
	_ = l.SetDeadline(time.Now().Add(limit))
	var out []byte
	for _, c := range commands {
		out = resp.AppendCommand(out, c...)
	}
	if _, err := l.Write(out); err != nil {
		return nil, err
	}
	answers := make([]resp.Reply, len(commands))
	for i := range answers {
		var err error
		if answers[i], err = resp.ReadReply(l.in); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// askLimit is how long an answer about the cluster may take.
const askLimit = time.Second

// ask sends one command on a connection of its own. An error reply is an error.
func ask(addr string, words ...string) (resp.Reply, error) {
	l, err := dial(addr)
	if err != nil {
		return resp.Reply{}, err
	}
	defer l.Close()
	answers, err := l.call(askLimit, words)
	if err != nil {
		return resp.Reply{}, err
	}
	if answers[0].IsError() {
		return answers[0], errors.New(string(answers[0].Text))
	}
	return answers[0], nil
}

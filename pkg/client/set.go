package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SetOption says how SetX writes. Its zero value says nothing.
type SetOption struct {
	kind setOptionKind
	n    int64
}

type setOptionKind uint8

const (
	setTTL setOptionKind = iota + 1
	setExpireAt
	setKeepTTL
	setIfAbsent
	setIfPresent
	setIfVersion
	setReturnOld
	setAcks
)

// TTL makes the value disappear after d, of at least a millisecond.
func TTL(d time.Duration) SetOption { return SetOption{setTTL, int64(d)} }

// ExpireAt makes the value disappear at t, to the millisecond.
func ExpireAt(t time.Time) SetOption { return SetOption{setExpireAt, t.UnixMilli()} }

// KeepTTL leaves the time to live that the key has.
func KeepTTL() SetOption { return SetOption{kind: setKeepTTL} }

// IfAbsent writes only when there is no such key; else the call ends with ErrExists.
func IfAbsent() SetOption { return SetOption{kind: setIfAbsent} }

// IfPresent writes only when there is such a key; else the call ends with ErrNotFound.
func IfPresent() SetOption { return SetOption{kind: setIfPresent} }

// IfVersion writes only when the key has this version, 0 meaning that there is no
// such key; else the call ends with ErrVersionMismatch. Needs an aegis server.
func IfVersion(v Version) SetOption { return SetOption{setIfVersion, int64(v)} }

// ReturnOld puts the value that was there before into the Item that SetX gives.
func ReturnOld() SetOption { return SetOption{kind: setReturnOld} }

// Majority waits until most copies hold the write: it then survives every failover.
// Needs an aegis server. Such writes travel on connections of their own, so they have
// no order with other calls that are still under way.
func Majority() SetOption { return SetOption{setAcks, int64(laneMajority)} }

// AllCopies waits until every live copy holds the write. See Majority.
func AllCopies() SetOption { return SetOption{setAcks, int64(laneAll)} }

// SetX stores a value as the options say; without any it is Set. The Item has the new
// Version, when the server tells it. With ReturnOld its Value and Found are the key's
// before the call, also beside ErrExists and ErrNotFound.
func (c *Client) SetX(ctx context.Context, key string, value []byte, options ...SetOption) (Item, error) {
	cmd, err := setCommand(key, value, options)
	if err != nil {
		return Item{Key: key}, c.mistake("SET", key, err)
	}
	a, err := c.do(ctx, &cmd)
	if err != nil {
		return Item{Key: key}, unknownOption(&cmd, err)
	}
	return writtenItem(&cmd, a)
}

// setCommand is the SET that the options make, or why they do not go together.
func setCommand(key string, value []byte, options []SetOption) (command, error) {
	cmd := command{op: opSet, key: key, value: value}
	s := &cmd.set
	expiries, conditions := 0, 0
	for _, o := range options {
		switch o.kind {
		case setTTL:
			if o.n <= 0 {
				return cmd, badTTL(time.Duration(o.n))
			}
			s.setExpiry(time.Duration(o.n))
			expiries++
		case setExpireAt:
			if o.n <= 0 {
				return cmd, fmt.Errorf("client: ExpireAt lies before 1970")
			}
			s.expiry, s.at = expiryPXAT, o.n
			expiries++
		case setKeepTTL:
			s.expiry = expiryKeep
			expiries++
		case setIfAbsent:
			s.only = 'N'
			conditions++
		case setIfPresent:
			s.only = 'X'
			conditions++
		case setIfVersion:
			s.only, s.version = 'V', Version(o.n)
			conditions++
		case setReturnOld:
			s.old = true
		case setAcks:
			cmd.lane = lane(o.n)
		}
	}
	switch {
	case expiries > 1:
		return cmd, errors.New("client: TTL, ExpireAt and KeepTTL exclude each other")
	case conditions > 1:
		return cmd, errors.New("client: IfAbsent, IfPresent and IfVersion exclude each other")
	case s.old && s.only == 'V':
		return cmd, errors.New("client: ReturnOld does not go with IfVersion, which knows what was there")
	}
	return cmd, nil
}

func badTTL(d time.Duration) error {
	return fmt.Errorf("client: time to live is %v, it must be positive", d)
}

// writtenItem reads the answer to a SET: OK, nil when a condition did not hold, with GET
// the old value, with IFVER the new version.
func writtenItem(cmd *command, a answer) (Item, error) {
	item := Item{Key: cmd.key, Version: a.version, Node: a.node}
	if cmd.set.only == 'V' && a.Kind == ':' {
		item.Version = Version(a.Int)
	}
	applied := !a.IsNull()
	if cmd.set.old {
		if item.Found = !a.IsNull(); item.Found {
			item.Value = a.Text
		}
		applied = cmd.set.only == 0 || item.Found == (cmd.set.only == 'X')
	}
	switch {
	case applied:
		return item, nil
	case cmd.set.only == 'N':
		return item, ErrExists
	}
	return item, ErrNotFound
}

// unknownOption says that a server which finds a syntax error in a SET does not know
// the option that is ours alone.
func unknownOption(cmd *command, err error) error {
	var op *OpError
	var server *ServerError
	if cmd.set.only == 'V' && errors.As(err, &op) && errors.As(err, &server) && server.Code == "ERR" {
		op.Err = because(ErrUnsupported, op.Err)
	}
	return err
}

// DeleteIf removes a key that has this version; else it ends with ErrVersionMismatch.
// Needs an aegis server.
func (c *Client) DeleteIf(ctx context.Context, key string, v Version) error {
	cmd := deleteIfCommand(key, v)
	_, err := c.do(ctx, &cmd)
	return err
}

// mistake is the error of a call that asked for what makes no sense; nothing was sent.
func (c *Client) mistake(op, key string, err error) error {
	if c.refused != nil {
		return c.refused
	}
	return &OpError{Op: op, Key: key, Err: err}
}

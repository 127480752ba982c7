package membership

import (
	"fmt"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Most of it comes with memberlist's lock held,
// so nothing here waits, and nothing here calls memberlist.
//
// There is no MergeDelegate: it could only refuse a whole push/pull, and one member
// that cannot be read must not keep this node from the others.
type delegate struct {
	g    *Gossip
	self string // the name of this node
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte { return AppendMeta(nil, d.g.present()) }

// NotifyMsg implements memberlist.Delegate: a member says directly that it drains.
func (d *delegate) NotifyMsg(b []byte) {
	if m, err := DecodeMeta(b); err == nil && m.Cluster == d.g.cfg.Self.Cluster {
		d.g.roster.said(m)
	}
}

// GetBroadcasts implements memberlist.Delegate: everything is in the meta.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState([]byte, bool) {}

// NotifyAlive implements memberlist.AliveDelegate: it refuses whom this node cannot
// read, who is of another cluster or not who its name says.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := DecodeMeta(n.Meta)
	switch {
	case err != nil:
		err = fmt.Errorf("gossip: the member at %s is ignored: %w", n.Address(), err)
	case m.Cluster != d.g.cfg.Self.Cluster:
		err = fmt.Errorf("gossip: the member at %s is ignored: it says it is of cluster %x", n.Address(), m.Cluster[:4])
	case memberName(m) != n.Name:
		err = fmt.Errorf("gossip: the member at %s is ignored: it is called %q and says it is %s", n.Address(), n.Name, memberName(m))
	case !d.g.roster.room(n.Name):
		err = fmt.Errorf("gossip: more than %d members; the rest is ignored", membersMax)
	}
	if err != nil {
		d.g.voice.warnOnce(err.Error())
	}
	return err
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.g.voice.warnOnce(fmt.Sprintf("gossip: %s and %s say both that they are node %s (number.start): two processes have one identity, stop one of them",
		existing.Address(), other.Address(), existing.Name))
}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.alive(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.alive(n) }

func (d *delegate) alive(n *memberlist.Node) {
	if m, err := DecodeMeta(n.Meta); err == nil && n.Name != d.self {
		d.g.roster.alive(m, n.FullAddress())
	}
}

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.g.roster.gone(n.Name) }

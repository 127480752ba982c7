package node

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport"
)

// Will is what a node leaves to its parent process: what it takes to tell the peers, once
// the node is dead, that this incarnation of it is over.
type Will struct {
	Self   transport.Identity
	Secret []byte
	Peers  map[shardmap.NodeID]string // cluster addresses
}

// Member is the incarnation that the will speaks of.
func (w Will) Member() multiraft.Member {
	return multiraft.Member{Node: w.Self.Node, Inc: multiraft.Incarnation{Counter: w.Self.Counter, Nonce: w.Self.Nonce}}
}

// LastWord says to the peers what the node cannot say any more.
func (w Will) LastWord() *transport.LastWord {
	return &transport.LastWord{Self: w.Self, Secret: w.Secret, Network: transport.TCP{}, Peers: w.Peers}
}

// ReadWills calls took for every will that a node writes, until it ends.
func ReadWills(r io.Reader, took func(Will)) error {
	for in := json.NewDecoder(r); ; {
		var w Will
		switch err := in.Decode(&w); err {
		case nil:
			took(w)
		case io.EOF:
			return nil
		default:
			return fmt.Errorf("what the worker says of itself cannot be read: %w", err)
		}
	}
}

// LeaveTo says who is to have the node's will. It is called before Run.
func (n *Node) LeaveTo(heir io.Writer) {
	n.heir, n.willChanged = heir, make(chan struct{}, 1)
}

// writeWills writes the will anew whenever a peer comes, goes or is found elsewhere, until
// the process ends. It is a goroutine of its own: a parent that was stopped does not read,
// and who changes the peers is the thread that keeps all leases.
func (n *Node) writeWills() {
	out := json.NewEncoder(n.heir)
	for range n.willChanged {
		if out.Encode(Will{Self: n.identityOnWire(), Secret: n.secret, Peers: n.mux.Peers()}) != nil {
			return // the parent is gone; that is noticed elsewhere
		}
	}
}

// changeWill has the will written as it is now. Without an heir it does nothing.
func (n *Node) changeWill() {
	select {
	case n.willChanged <- struct{}{}:
	default:
	}
}

func (n *Node) identityOnWire() transport.Identity {
	inc := n.start.Identity.Inc
	return transport.Identity{Cluster: n.cluster, Node: n.self, Counter: inc.Counter, Nonce: inc.Nonce}
}

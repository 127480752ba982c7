package load

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Span is one row of CLUSTER SLOTS: slots and the address that answers for them.
type Span struct {
	First, Last shardmap.Slot
	Addr        string // host:port
}

var errSlots = errors.New("its answer to CLUSTER SLOTS cannot be read")

// ParseSlots reads the answer of a node to CLUSTER SLOTS. A server that is no cluster
// answers for all slots; a row without a host means the node that was asked.
func ParseSlots(v resp.Reply, asked string) (spans []Span, err error) {
	if v.IsError() {
		return []Span{{0, shardmap.Slots - 1, asked}}, nil
	}
	for _, row := range v.Items {
		if len(row.Items) < 3 || len(row.Items[2].Items) < 2 {
			return nil, errSlots
		}
		first, last, at := row.Items[0].Int, row.Items[1].Int, row.Items[2].Items
		if first < 0 || last < first || last >= shardmap.Slots {
			return nil, errSlots
		}
		host := string(at[0].Text)
		if host == "" || host == "?" {
			host, _, _ = net.SplitHostPort(asked)
		}
		spans = append(spans, Span{shardmap.Slot(first), shardmap.Slot(last), Address(host, strconv.FormatInt(at[1].Int, 10))})
	}
	return spans, nil
}

// Address joins host and port; IPv6 hosts come with and without brackets.
func Address(host, port string) string { return net.JoinHostPort(strings.Trim(host, "[]"), port) }

// ParseMoved is the address in "MOVED 1234 host:port", as an error reply says it.
func ParseMoved(text string) (addr string, ok bool) {
	f := strings.Fields(text)
	if len(f) != 3 || f[0] != "MOVED" {
		return "", false
	}
	colon := strings.LastIndexByte(f[2], ':')
	if colon < 0 {
		return "", false
	}
	return Address(f[2][:colon], f[2][colon+1:]), true
}

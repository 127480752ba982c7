package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// The memory that a value lay in belongs to other values as soon as the shard is
// unlocked: a reply that still pointed there would show pieces of them. Every value
// names its key and is one letter for the rest; there are few keys, of all sizes, in
// two shards that are too small for them, so that places are used again at once.
func TestRepliesNeverMixValues(t *testing.T) {
	const workers, rounds, depth, keys = 6, 120, 16, 48
	n := startNodes(t, 1, 32<<20)[0]
	sizes := []int{0, 1, 20, 100, 1000, 5000, 16 << 10, 40_000, 70_000}
	talk(t, n.cfg.ClientAddr).ask([][]string{{"SET", "ready", "1"}})
	talkers := make([]*talker, workers)
	for i := range talkers {
		talkers[i] = talk(t, n.cfg.ClientAddr)
	}
	failed := make(chan error, workers)
	for w := range workers {
		go func() {
			err := errors.New("no reply")
			defer func() { failed <- err }()
			r := rand.New(rand.NewPCG(uint64(w), 9))
			read := 0
			for range rounds {
				var ask [][]string
				for range depth {
					key := fmt.Sprintf("{%c}%d", "ab"[r.IntN(2)], r.IntN(keys/2))
					value := key + ":" + strings.Repeat(string(rune('a'+r.IntN(26))), sizes[r.IntN(len(sizes))])
					ask = append(ask, [][]string{
						{"GET", key},
						{"GET", key},
						{"GET", key},
						{"SET", key, value},
						{"SET", key, value},
						{"SET", key, value, "GET"},
						{"SET", key, value, "PX", "5"},
						{"GETEX", key, "PERSIST"},
						{"GETDEL", key},
						{"MGET", key},
						{"APPEND", key, ""},
					}[r.IntN(11)])
				}
				replies, lost := talkers[w].try(ask)
				if lost != nil { // the lease lapsed under a write: nobody got a processor for so long
					talkers[w] = talk(t, n.cfg.ClientAddr)
				}
				for i, reply := range replies {
					value, ok := valueIn(reply)
					if !ok {
						continue
					}
					read++
					rest, named := strings.CutPrefix(value, ask[i][1]+":")
					if !named || rest != "" && strings.Trim(rest, rest[:1]) != "" {
						err = fmt.Errorf("%q: %.60q ... %.20q, %d bytes", ask[i][:2], value, value[max(0, len(value)-20):], len(value))
						return
					}
				}
			}
			if err = nil; read < rounds {
				err = fmt.Errorf("%d values read", read)
			}
		}()
	}
	for range workers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// valueIn is the bulk string in a reply, alone or as the only element of an array.
func valueIn(reply string) (value string, ok bool) {
	reply = strings.TrimPrefix(reply, "*1\r\n")
	if !strings.HasPrefix(reply, "$") || strings.HasPrefix(reply, "$-1") {
		return "", false
	}
	_, value, _ = strings.Cut(reply, "\r\n")
	return strings.TrimSuffix(value, "\r\n"), value != "\r\n"
}

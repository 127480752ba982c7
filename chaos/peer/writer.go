package peer

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	writers      = 16
	writeEvery   = 10 * time.Millisecond // of each writer
	writeLimit   = time.Second           // of one operation
	readBackEach = 4                     // writes for one reading
)

// write is an acknowledged write. Each has a key of its own, so that none can hide
// that another is gone.
type write struct {
	of, number int
	at         time.Duration
	version    string // by the server's token; "" when it gives none
}

func (r *routes) key(of, worker, number int) string {
	return fmt.Sprintf("w:{%s}:%d:%d", r.tags[of], worker, number)
}

// writer writes new keys, and reads some of them back.
type writer struct {
	run    *run
	worker int
	client *client
	tokens bool // the server has AEGIS.TOKEN
	count  int
	acked  []write
	head   string // of tokens: all before the versions
}

func (w *writer) work(ctx context.Context) {
	defer w.client.close()
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.write()
		if w.count%readBackEach == 0 && len(w.acked) > 0 {
			w.read()
		}
	}
}

func (w *writer) write() {
	w.count++
	of := (w.count + w.worker) % ranges
	commands := [][]string{{"SET", w.client.routes.key(of, w.worker, w.count), strconv.Itoa(w.count)}}
	if w.tokens {
		commands = append(commands, []string{"AEGIS.TOKEN"})
	}
	begun := w.run.now()
	a := w.client.do(of, commands...)
	w.run.note("set", begun, a)
	if a.outcome != report.OK {
		return
	}
	done := write{of: of, number: w.count, at: begun}
	if w.tokens {
		w.head, done.version = versionIn(string(a.replies[1].Text), int(shardmap.DefaultLayout.ShardOf(shardmap.SlotOfString(w.client.routes.tags[of]))))
	}
	w.acked = append(w.acked, done)
}

// versionIn is the version of a shard in a token: "1:cluster:shard.version,...".
func versionIn(token string, shard int) (head, version string) {
	colon := strings.LastIndexByte(token, ':') + 1
	for _, m := range strings.Split(token[colon:], ",") {
		if s, _, ok := strings.Cut(m, "."); ok && s == strconv.Itoa(shard) {
			return token[:colon], m
		}
	}
	return token[:colon], ""
}

// read asks for an older write, for the load: what is gone is judged at the end.
func (w *writer) read() {
	old := w.acked[w.count*7919%len(w.acked)]
	begun := w.run.now()
	w.run.note("get", begun, w.client.do(old.of, []string{"GET", w.client.routes.key(old.of, w.worker, old.number)}))
}

const (
	judgeBatch = 200
	judgeTries = 50
)

// missing reads every acknowledged write and answers those that are gone.
func (w *writer) missing() (gone []write, err error) {
	c := newClient(w.client.routes, 5*time.Second)
	defer c.close()
	by := map[int][]write{}
	for _, a := range w.acked {
		by[a.of] = append(by[a.of], a)
	}
	for of, all := range by {
		for len(all) > 0 {
			part := all[:min(judgeBatch, len(all))]
			all = all[len(part):]
			absent, err := w.absent(c, of, part)
			if err != nil {
				return nil, err
			}
			gone = append(gone, absent...)
		}
	}
	return gone, nil
}

func (w *writer) absent(c *client, of int, part []write) (gone []write, err error) {
	var commands [][]string
	for _, a := range part {
		commands = append(commands, []string{"GET", c.routes.key(of, w.worker, a.number)})
	}
	for range judgeTries {
		a := c.do(of, commands...)
		if a.outcome != report.OK {
			err = fmt.Errorf("a final reading of %s failed: %s", rangeName(of), a.word)
			time.Sleep(refreshEvery)
			continue
		}
		for i, v := range a.replies {
			if v.IsNull() {
				gone = append(gone, part[i])
			}
		}
		return gone, nil
	}
	return nil, err
}

// told is how many of the lost writes the server calls lost when it is asked.
func (w *writer) told(gone []write) (n int64) {
	for _, g := range gone {
		if g.version == "" {
			continue
		}
		for _, seed := range w.client.routes.sys.Seeds() {
			v, err := ask(seed, "AEGIS.CHECK", w.head+g.version)
			if err == nil && strings.Contains(flat(v), "lost") {
				n++
				break
			}
		}
	}
	return n
}

// tally is what all clients met, under a lock of its own.
type tally struct {
	sync.Mutex
	sampler    *report.Sampler
	throughput report.Throughput
	errors     map[string]int64
	phases     report.Phases
}

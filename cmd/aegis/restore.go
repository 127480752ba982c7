package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
)

const restoreHelp = `
DIR is what aegis backup wrote, or the directory of a node that does not run, or its image.db.
All of it is checked first: of one that is damaged nothing is restored.

The cluster must serve and be empty. It may have another number of nodes and shards: keys go
by their slots. Deadlines are what they were; keys that are dead by now are left out. A key
that a client has written meanwhile stays. In the end the keys are counted. A restore that was
interrupted is begun again with --resume: keys that are there already stay.

  aegis snapshot restore /backups/monday --addr new:7000

Exit codes: 0 done, 1 damaged, or keys are missing, 2 nobody answers, 3 the cluster is not
empty or does not serve, 64 wrong usage.`

// restoreTool is one run of aegis snapshot restore.
type restoreTool struct {
	from, addr, format string
	resume             bool
	patience           time.Duration
	out, err           io.Writer

	client   *client.Client
	progress *progress

	mu     sync.Mutex // guards the rest
	counts restored
	dying  map[int64]int64 // keys that were written, by the second in which they die
	last   time.Time       // when a key was written
}

// restored is what -o json prints.
type restored struct {
	Keys    int64   `json:"keys"`     // in the backup
	Bytes   int64   `json:"bytes"`    // of keys and values
	Written int64   `json:"restored"` // keys
	There   int64   `json:"thereAlready"`
	Dead    int64   `json:"expired"`
	Present int64   `json:"present"` // in the cluster, counted in the end
	Seconds float64 `json:"seconds"`
}

func newSnapshotRestore() *cobra.Command {
	r := &restoreTool{dying: map[int64]int64{}}
	cmd := &cobra.Command{
		Use: "restore DIR|FILE", Short: "Restore a backup, or a snapshot, into an empty cluster", Long: "Restore a backup, or a snapshot, into an empty cluster.\n" + restoreHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which backup? usage: aegis snapshot restore DIR, what aegis backup wrote")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.from, r.out, r.err = args[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			if r.format != "text" && r.format != "json" {
				return usageError("unknown output format %q: use text or json", r.format)
			}
			seeds, err := addresses(r.addr)
			if err != nil {
				return err
			}
			return r.run(seeds)
		},
	}
	f := cmd.Flags()
	declareAddr(f, &r.addr)
	f.BoolVar(&r.resume, "resume", false, "go on with a restore that was interrupted: the cluster need not be empty, and its keys stay")
	f.DurationVar(&r.patience, "patience", time.Minute, "how long keys that nobody takes are tried")
	f.StringVarP(&r.format, "output", "o", "text", "text or json")
	return cmd
}

// part brings the entries of one shard of a source, in pieces.
type part func(yield func(entries []byte) error) error

func (r *restoreTool) run(seeds []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	parts, err := r.open()
	if err != nil {
		return err
	}
	if err := r.mayRestore(seeds); err != nil {
		return err
	}
	cfg := client.DefaultConfig(seeds)
	cfg.Timeout = restoreTry
	if r.client, err = client.New(cfg); err != nil {
		return err
	}
	defer r.client.Close()
	begun := time.Now()
	r.last = begun
	r.progress = newProgress(r.err, "restore", r.counts.Bytes)
	err = r.all(ctx, parts)
	r.progress.end()
	if err != nil {
		return fmt.Errorf("%d of %d keys are restored: %w; begin again with --resume", r.counts.Written+r.counts.There, r.counts.Keys, err)
	}
	r.counts.Seconds = time.Since(begun).Seconds()
	return r.count(seeds)
}

// open checks what is to be restored, and gives its parts.
func (r *restoreTool) open() ([]part, error) {
	if !backup.Is(r.from) {
		return r.openSnapshot(snapshotIn(r.from))
	}
	m, err := backup.Read(r.from)
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Sprintf("%s: %v", r.from, err)}
	}
	if err := checkBackup(r.from, m, r.err, r.err); err != nil {
		return nil, fmt.Errorf("nothing was restored: %w", err)
	}
	r.counts.Keys, r.counts.Bytes = m.Keys, m.Bytes
	var parts []part
	for i := range m.Files {
		parts = append(parts, func(yield func([]byte) error) error { return readShard(r.from, &m.Files[i], yield) })
	}
	return parts, nil
}

// openSnapshot is open for the image of a node: what that node has copies of.
func (r *restoreTool) openSnapshot(file string) (parts []part, err error) {
	rep, err := image.Inspect(file)
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Sprintf("%s: %v", file, err)}
	}
	if len(rep.Damages) > 0 {
		return nil, &exitError{exitDamaged, fmt.Sprintf("nothing was restored: %s is damaged: %v", file, rep.Damages[0])}
	}
	mixed := 0
	for i := range rep.Rows {
		row := rep.Rows[i]
		if row.From.Position != row.To.Position {
			mixed++
		}
		p := func(yield func([]byte) error) error { return image.Read(file, row.Shard, yield) }
		if err := p(r.weigh); err != nil {
			return nil, &exitError{exitDamaged, fmt.Sprintf("nothing was restored: %s is damaged: shard %d: %v", file, row.Shard, err)}
		}
		parts = append(parts, p)
	}
	if mixed > 0 || len(rep.Rows) < rep.Shards {
		fmt.Fprintf(r.err, "a snapshot is what one node had: %d of %d shards are in it, and what its log had beyond it is not; %d shards were written to while they were saved, and are of no single moment (aegis backup makes copies of which neither is true)\n",
			len(rep.Rows), rep.Shards, mixed)
	}
	return parts, nil
}

// weigh counts entries before they are restored.
func (r *restoreTool) weigh(entries []byte) error {
	return statemachine.EachEntry(entries, func(key, value []byte, _ shardmap.Version, _ int64) {
		r.counts.Keys++
		r.counts.Bytes += int64(len(key) + len(value))
	})
}

func readShard(dir string, s *backup.Shard, yield func([]byte) error) error {
	in, err := backup.OpenShard(dir, s)
	if err != nil {
		return err
	}
	defer in.Close()
	for {
		entries, n, err := in.Next()
		if err == nil && n > 0 {
			err = yield(entries)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// mayRestore wants a cluster that serves all groups and holds nothing.
func (r *restoreTool) mayRestore(seeds []string) error {
	report, err := clusterReport(seeds)
	if err != nil {
		return &exitError{exitUnreachable, err.Error() + "; is it running, and is --addr its client address?"}
	}
	keys := keysOf(report)
	switch {
	case report.Served < report.Groups:
		return &exitError{exitRefused, fmt.Sprintf("the cluster cannot take it: %s; see aegis status", report.Verdict)}
	case keys > 0 && !r.resume:
		return &exitError{exitRefused, fmt.Sprintf("the cluster holds %d keys, and a backup is restored into an empty one: found a new cluster, or send FLUSHALL to a gateway port or to every node; a restore that was interrupted goes on with --resume", keys)}
	}
	return nil
}

// clusterReport is the status that the first node which answers gives.
func clusterReport(seeds []string) (report node.ClusterReport, err error) {
	for _, addr := range seeds {
		if report, err = fetchStatus(addr); err == nil {
			return report, nil
		}
		err = fmt.Errorf("no node answers at %s: %w", addr, err)
	}
	return report, err
}

// keysOf counts what all leaseholders hold, dead keys that were not swept yet included.
func keysOf(r node.ClusterReport) (keys int64) {
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if g.Open {
				keys += int64(g.Keys)
			}
		}
	}
	return keys
}

const (
	restoreWorkers = 4               // parts that are restored at a time
	restoreKeys    = 500             // of a batch, at most
	restoreBytes   = 1 << 20         // of a batch, about
	restoreTry     = 5 * time.Second // for one batch
)

// all restores every part. The first error ends it.
func (r *restoreTool) all(ctx context.Context, parts []part) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan part)
	var wg sync.WaitGroup
	for range restoreWorkers {
		wg.Go(func() {
			for p := range work {
				w := &restoring{r: r, ctx: ctx}
				err := p(w.take)
				if err == nil {
					err = w.flush()
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, p := range parts {
		if ctx.Err() == nil {
			work <- p
		}
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	} else if err != nil {
		return err
	}
	return nil
}

// restoring gathers entries into batches.
type restoring struct {
	r     *restoreTool
	ctx   context.Context
	batch []restoredEntry
	bytes int
}

type restoredEntry struct {
	key, value []byte
	deadline   int64 // unix ms, 0 = none
}

// take gathers the entries of a piece; those that are dead are left out.
func (w *restoring) take(entries []byte) (err error) {
	now := time.Now().UnixMilli()
	broken := statemachine.EachEntry(entries, func(key, value []byte, _ shardmap.Version, deadline int64) {
		if err != nil {
			return
		}
		if deadline != 0 && deadline <= now {
			w.r.dead(len(key) + len(value))
			return
		}
		w.batch = append(w.batch, restoredEntry{slices.Clone(key), slices.Clone(value), deadline})
		if w.bytes += len(key) + len(value); w.bytes >= restoreBytes || len(w.batch) >= restoreKeys {
			err = w.flush()
		}
	})
	return errors.Join(broken, err)
}

func (r *restoreTool) dead(bytes int) {
	r.progress.add(int64(bytes))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Dead++
}

// flush writes a batch, again and again what nobody took.
func (w *restoring) flush() error {
	for len(w.batch) > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		left, err := w.r.write(w.ctx, w.batch)
		w.batch = left
		if err != nil && (!mayPass(err) || w.r.stuck()) {
			return err
		}
	}
	w.batch, w.bytes = nil, 0
	return nil
}

// mayPass says of an error whether the key is worth another try. What may have been applied
// is too: it is written only where there is nothing.
func mayPass(err error) bool {
	return errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrAmbiguous) || errors.Is(err, client.ErrTimeout)
}

// stuck says that no key was written for longer than the operator waits.
func (r *restoreTool) stuck() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last) > r.patience
}

// write sends a batch and gives the entries that were not taken, and why the last was not.
func (r *restoreTool) write(ctx context.Context, batch []restoredEntry) (left []restoredEntry, err error) {
	b := r.client.Batch()
	answers := make([]*client.Future[client.Reply], len(batch))
	for i, e := range batch {
		words := []any{"SET", e.key, e.value, "NX"}
		if e.deadline != 0 {
			words = append(words, "PXAT", e.deadline)
		}
		answers[i] = b.Raw(words...)
	}
	_ = b.Do(ctx) // each answer says it
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range batch {
		reply, failed := answers[i].Result()
		if failed != nil {
			left = append(left, e)
			if err == nil || mayPass(err) {
				err = fmt.Errorf("key %.100q: %w", e.key, failed)
			}
			continue
		}
		if reply.IsNull() {
			r.counts.There++
		} else {
			r.counts.Written++
		}
		if e.deadline != 0 {
			r.dying[e.deadline/1000]++
		}
		r.progress.add(int64(len(e.key) + len(e.value)))
		r.last = time.Now()
	}
	return left, err
}

// count looks whether the cluster has what was written. A cache that is too small evicts.
func (r *restoreTool) count(seeds []string) error {
	report, err := clusterReport(seeds)
	if err != nil {
		return &exitError{exitUnreachable, "everything is restored, and cannot be counted: " + err.Error()}
	}
	c := &r.counts
	c.Present = keysOf(report)
	want, now := c.Written+c.There, time.Now().Unix()
	for second, n := range r.dying {
		if second <= now {
			want -= n
		}
	}
	if r.format == "json" {
		err = json.NewEncoder(r.out).Encode(c)
	} else {
		_, err = fmt.Fprintf(r.out, "%d keys restored in %v, %d were there already, %d are dead by now; the cluster holds %d\n",
			c.Written, time.Duration(c.Seconds*float64(time.Second)).Round(10*time.Millisecond), c.There, c.Dead, c.Present)
	}
	if err == nil && c.Present < want {
		return fmt.Errorf("%d of %d keys are not there any more: clients removed them, or they were evicted because all nodes together have too little memory (INFO memory of each node: aegis_stores_budget); give the nodes more --max-memory-bytes, or start more of them, and restore again", want-c.Present, want)
	}
	return err
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

const backupHelp = `Copies the whole cluster into a directory of this machine while it serves: each shard as it
was at one moment, from the node that serves it. Shards are of different moments. Nothing is
stopped, and no node needs a log or a snapshot for it.

The directory gets a file for each shard and a manifest, and is read once more in the end.
A shard whose node dies or hands it over meanwhile is begun again at its new node. Either
all shards are there, or the command says which are not, and there is no manifest.

  aegis backup /backups/monday --addr node1:7000,node2:7000
  aegis snapshot verify /backups/monday
  aegis snapshot restore /backups/monday --addr new:7000     into an empty cluster

Exit codes: 0 done, 1 shards are missing or the directory cannot be written, 2 nobody answers,
64 wrong usage.`

// backupTool is one run of aegis backup.
type backupTool struct {
	dir, addr, rate, format string
	patience                time.Duration
	out, err                io.Writer

	rateBytes int64 // of each node in a second, 0 = no bound
	asker     *asker
	info      node.BackupCluster
	progress  *progress

	mu     sync.Mutex // guards the rest
	done   map[shardmap.ShardID]backup.Shard
	failed map[shardmap.ShardID]error // why a shard is not done yet
	broken error                      // of the directory: nothing helps
	redone int
}

// declare gives the command its flags.
func (b *backupTool) declare(cmd *cobra.Command) {
	f := cmd.Flags()
	declareAddr(f, &b.addr)
	f.StringVar(&b.rate, "rate", "64MiB", "how much is read from each node in a second (0 = as fast as it goes)")
	f.DurationVar(&b.patience, "patience", time.Minute, "how long shards that nobody serves are waited for")
	f.StringVarP(&b.format, "output", "o", "text", "text or json")
}

func newBackup() *cobra.Command {
	b := &backupTool{done: map[shardmap.ShardID]backup.Shard{}, failed: map[shardmap.ShardID]error{}}
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy the whole cluster into a directory while it serves", Long: backupHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("where to? usage: aegis backup DIR, a directory that is empty or not there yet")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			b.dir, b.out, b.err = args[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			if err := b.read(); err != nil {
				return err
			}
			defer b.asker.close()
			return b.run()
		},
	}
	b.declare(cmd)
	return cmd
}

// read turns the words of the flags into what they mean.
func (b *backupTool) read() (err error) {
	if b.format != "text" && b.format != "json" {
		return usageError("unknown output format %q: use text or json", b.format)
	}
	if b.rateBytes, err = node.ParseSize(b.rate); err != nil {
		return usageError("--rate: %v", err)
	}
	if b.rateBytes > 0 && b.rateBytes < rateMin {
		return usageError("--rate %s is too slow: a node forgets a copy of which nobody asks for more within half a minute; give %s or more", b.rate, node.About(rateMin))
	}
	b.asker, err = newAsker(b.addr, 0)
	return err
}

const (
	// rateMin is the slowest copy: there has to be a piece of half a MiB every copyRestMax.
	rateMin = 64 << 10
	// copyRestMax is the longest pause between two pieces. A node forgets who does not ask for
	// 30 s, and one value may be worth more than that at a low rate: what is left of the
	// pause is made up for behind the next pieces.
	copyRestMax = 10 * time.Second
)

// askWait is how long a node may take for one answer.
const askWait = 10 * time.Second

func (b *backupTool) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	begun := time.Now()
	total, err := b.look()
	if err != nil {
		return err
	}
	if err := backup.Make(b.dir); err != nil {
		return fmt.Errorf("no backup can be written there: %w", err)
	}
	b.progress = newProgress(b.err, "backup", total)
	err = b.all(ctx)
	b.progress.end()
	if err != nil {
		return err
	}
	m := b.manifest(begun)
	if err := b.finish(m); err != nil {
		return err
	}
	return b.tell(m)
}

// look asks who serves what, and how much there is.
func (b *backupTool) look() (total int64, err error) {
	until := time.Now().Add(askWait)
	if err := b.asker.readMap(until); err != nil {
		return 0, &exitError{exitUnreachable, err.Error() + "; is it running, and is --addr its client address?"}
	}
	var text []byte
	for _, addr := range b.asker.route.nodes() {
		if text, err = admin(addr, "backup", "info"); err == nil {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("the cluster cannot be copied: %w", err)
	}
	if err := json.Unmarshal(text, &b.info); err != nil {
		return 0, fmt.Errorf("the nodes' answer cannot be read: %w", err)
	}
	if b.info.Format != node.BackupFormat {
		return 0, fmt.Errorf("the nodes run aegis %s and answer in format %d, this is aegis %s, which reads %d: use the aegis that the nodes run", b.info.Version, b.info.Format, node.Version, node.BackupFormat)
	}
	for _, addr := range b.asker.route.nodes() { // for the progress line only
		if r, err := fetchStatus(addr); err == nil {
			for _, n := range r.Nodes {
				for _, g := range n.Groups {
					if g.Open {
						total += g.Bytes
					}
				}
			}
			break
		}
	}
	return total, nil
}

// retryShards is the pause between two rounds over the shards that are missing.
const retryShards = 200 * time.Millisecond

// all copies every shard: in rounds, each over what is missing, from all nodes at once.
func (b *backupTool) all(ctx context.Context) error {
	last := time.Now()
	for {
		before := len(b.done)
		b.round(ctx)
		switch {
		case ctx.Err() != nil:
			return b.incomplete("interrupted")
		case b.broken != nil:
			return b.incomplete(b.broken.Error())
		case len(b.done) == b.info.Shards:
			return nil
		case len(b.done) > before:
			last = time.Now()
		case time.Since(last) > b.patience:
			return b.incomplete(fmt.Sprintf("nobody served them within %v", b.patience))
		}
		b.progress.say(fmt.Sprintf("%d shards are begun again", b.info.Shards-len(b.done)))
		time.Sleep(retryShards)
		b.remap()
	}
}

// remap asks for the map anew, also nodes that were not named to this command.
func (b *backupTool) remap() {
	for _, addr := range b.asker.route.nodes() {
		if !slices.Contains(b.asker.seeds, addr) {
			b.asker.seeds = append(b.asker.seeds, addr)
		}
	}
	known := b.asker.route
	if err := b.asker.readMap(time.Now().Add(askWait)); err != nil {
		b.asker.route = known
	}
}

// round copies what is missing from the nodes that the map names, each shard once.
func (b *backupTool) round(ctx context.Context) {
	layout := shardmap.Layout{Shards: b.info.Shards, Groups: b.info.Groups}
	missing := map[string][]shardmap.ShardID{}
	for id := range layout.Shards {
		shard := shardmap.ShardID(id)
		if _, done := b.done[shard]; done {
			continue
		}
		slot, _ := layout.SlotRange(shard)
		if addr, err := b.asker.holder(slot, time.Now().Add(askWait)); err == nil {
			missing[addr] = append(missing[addr], shard)
		} else {
			b.failed[shard] = err
		}
	}
	var wg sync.WaitGroup
	for addr, shards := range missing {
		wg.Go(func() { b.from(ctx, addr, shards) })
	}
	wg.Wait()
}

// from copies shards of one node, one after the other. A node that cannot be reached is
// left alone until the next round.
func (b *backupTool) from(ctx context.Context, addr string, shards []shardmap.ShardID) {
	var n *copied
	for _, shard := range shards {
		var err error
		if n == nil {
			if n, err = dialCopied(addr, b.rateBytes); err == nil {
				defer n.Close()
			}
		}
		var s backup.Shard
		if err == nil {
			s, err = b.shard(ctx, n, shard)
		}
		b.mu.Lock()
		if err == nil {
			b.done[shard] = s
			delete(b.failed, shard)
		} else {
			b.failed[shard] = fmt.Errorf("%s: %w", addr, err)
			if n != nil {
				b.redone++
			}
		}
		stop := b.broken != nil || ctx.Err() != nil || err != nil && !refused(err)
		b.mu.Unlock()
		if stop {
			return
		}
	}
}

// shard copies one shard into its file.
func (b *backupTool) shard(ctx context.Context, n *copied, shard shardmap.ShardID) (s backup.Shard, err error) {
	text, err := n.ask("begin", strconv.Itoa(int(shard)))
	if err != nil {
		return s, err
	}
	var from node.BackupShard
	if err := json.Unmarshal(text, &from); err != nil {
		return s, err
	}
	s = backup.Shard{Shard: from.Shard, FirstSlot: from.First, LastSlot: from.Last, Version: from.Version, Epoch: from.Epoch, Time: from.Time}
	w, err := backup.NewWriter(b.dir, s)
	if err != nil {
		return s, b.give(err)
	}
	taken := int64(0)
	for more := true; more && err == nil; {
		var entries []byte
		if entries, more, err = n.next(ctx, from.Walk); err == nil {
			taken += int64(len(entries))
			b.progress.add(int64(len(entries)))
			err = b.give(w.Add(entries))
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		w.Abandon()
		b.progress.add(-taken)
		_, _ = n.ask("end", from.Walk)
		return s, err
	}
	if s, err = w.End(); err != nil {
		return s, b.give(err)
	}
	if s.Keys != int64(from.Keys) { // a piece came twice or not at all: the shard is begun again
		return s, fmt.Errorf("shard %d: %d keys came of %d", shard, s.Keys, from.Keys)
	}
	return s, nil
}

// give notes an error of the directory, which ends the command.
func (b *backupTool) give(err error) error {
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.broken = err
	}
	return err
}

// incomplete says which shards are missing, and why.
func (b *backupTool) incomplete(why string) error {
	var missing []string
	for id := range b.info.Shards {
		if _, done := b.done[shardmap.ShardID(id)]; !done {
			missing = append(missing, strconv.Itoa(id))
		}
	}
	text := fmt.Sprintf("%s holds no backup: %d of %d shards are missing (%s): %s", b.dir, len(missing), b.info.Shards, strings.Join(missing, " "), why)
	for id, err := range b.failed {
		text += fmt.Sprintf("; shard %d: %v", id, err)
		break // the others are alike
	}
	return errors.New(text + "; see aegis status, then remove the directory and begin again")
}

func (b *backupTool) manifest(begun time.Time) *backup.Manifest {
	i := b.info
	m := &backup.Manifest{
		Format: backup.Format, Version: i.Version, Cluster: i.Cluster, Shards: i.Shards, Groups: i.Groups,
		Factor: i.Factor, VirtualNodes: i.VirtualNodes, Begun: begun.UTC(), Ended: time.Now().UTC(),
	}
	for id := range i.Shards {
		s := b.done[shardmap.ShardID(id)]
		m.Files = append(m.Files, s)
		m.Keys, m.Bytes = m.Keys+s.Keys, m.Bytes+s.Bytes
	}
	return m
}

// finish seals the backup and reads it once more, from its manifest on.
func (b *backupTool) finish(m *backup.Manifest) error {
	if err := backup.Seal(b.dir, m); err != nil {
		return fmt.Errorf("the manifest cannot be written: %w", err)
	}
	written, err := backup.Read(b.dir)
	if err != nil {
		return fmt.Errorf("%s was written and cannot be read back: %w", b.dir, err)
	}
	p := newProgress(b.err, "verify", fileBytes(written))
	damages := backup.Verify(b.dir, written, p.add)
	p.end()
	if len(damages) > 0 {
		return fmt.Errorf("%s was written and cannot be read back: %w: the disk is not sound; write it elsewhere", b.dir, damages[0])
	}
	return nil
}

func fileBytes(m *backup.Manifest) (n int64) {
	for i := range m.Files {
		n += m.Files[i].FileBytes
	}
	return n
}

// backupTold is what -o json prints.
type backupTold struct {
	Dir          string  `json:"dir"`
	Cluster      string  `json:"cluster"`
	Shards       int     `json:"shards"`
	Keys         int64   `json:"keys"`
	Bytes        int64   `json:"bytes"`
	FileBytes    int64   `json:"fileBytes"`
	ShardsRedone int     `json:"shardsRedone"`
	Seconds      float64 `json:"seconds"`
}

func (b *backupTool) tell(m *backup.Manifest) error {
	took := m.Ended.Sub(m.Begun)
	if b.format == "json" {
		return json.NewEncoder(b.out).Encode(backupTold{b.dir, m.Cluster, m.Shards, m.Keys, m.Bytes, fileBytes(m), b.redone, took.Seconds()})
	}
	_, err := fmt.Fprintf(b.out, "%d keys of %d shards, %s, are in %s (%s on disk), copied in %v and verified; %d shards were begun again\n",
		m.Keys, m.Shards, node.About(m.Bytes), filepath.Clean(b.dir), node.About(fileBytes(m)), took.Round(10*time.Millisecond), b.redone)
	return err
}

// copied is a node that shards are copied from.
type copied struct {
	link
	rate  int64
	begun time.Time
	bytes int64
}

func dialCopied(addr string, rate int64) (*copied, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, &unreachedError{addr, err}
	}
	return &copied{link: link{c, bufio.NewReaderSize(c, 256<<10)}, rate: rate, begun: time.Now()}, nil
}

func (n *copied) ask(words ...string) ([]byte, error) {
	_ = n.SetDeadline(time.Now().Add(askWait))
	if _, err := n.Write(resp.AppendCommand(nil, append([]string{"AEGIS.ADMIN", "BACKUP"}, words...)...)); err != nil {
		return nil, err
	}
	r, err := resp.ReadReply(n.read)
	switch {
	case err != nil:
		return nil, err
	case r.IsError():
		return nil, serverError(r)
	}
	return r.Text, nil
}

// next takes the next piece of a walk, and rests so that the rate is kept.
func (n *copied) next(ctx context.Context, walk string) (entries []byte, more bool, err error) {
	b, err := n.ask("next", walk)
	if err == nil && (len(b) == 0 || b[0] > node.BackupGoes) {
		err = errors.New("the node's answer cannot be read")
	}
	if err != nil {
		return nil, false, err
	}
	if n.bytes += int64(len(b)); n.rate > 0 {
		select {
		case <-time.After(restOf(n.bytes, n.rate, time.Since(n.begun))):
		case <-ctx.Done():
		}
	}
	return b[1:], b[0] == node.BackupGoes, nil
}

// restOf is the pause behind so many bytes, which took so long.
func restOf(bytes, rate int64, took time.Duration) time.Duration {
	due := time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
	return min(due-took, copyRestMax)
}

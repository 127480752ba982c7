package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/statemachine/image"
)

const snapshotHelp = `
A snapshot is the file image.db in a node's data directory: all that the node holds, but
for what its write-ahead log has beyond it.`

// newSnapshot is the family of commands about the images of nodes.
func newSnapshot() *cobra.Command {
	family := &cobra.Command{
		Use: "snapshot", Short: "Save and check the snapshots of nodes, and restore backups", Long: "Save and check the snapshots of nodes, and restore backups.\n" + snapshotHelp, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	family.AddCommand(newSnapshotSave(), newSnapshotVerify(), newSnapshotRestore())
	return family
}

func newSnapshotVerify() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "verify FILE|DIR", Short: "Check every block of a backup, of a snapshot, or of that in a node's directory",
		Long: "Check every block of the directory of a backup, or of a snapshot, whose node must not run.\n" + snapshotHelp + "\n\nExit codes: 0 sound, 1 damaged, 2 no snapshot that can be read, 64 wrong usage.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which snapshot? usage: aegis snapshot verify FILE, or the directory of a node")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError("unknown output format %q: use text or json", format)
			}
			if backup.Is(args[0]) {
				return verifyBackup(args[0], format, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			file := snapshotIn(args[0])
			rep, err := image.Inspect(file)
			if err != nil {
				return &exitError{exitUnreachable, fmt.Sprintf("%s: %v", file, err)}
			}
			if format == "json" {
				return printSnapshot(file, &rep, cmd.OutOrStdout())
			}
			printReport(cmd.OutOrStdout(), &rep)
			if len(rep.Damages) > 0 {
				return &exitError{exitDamaged, file + " is damaged"}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return cmd
}

// verifyBackup reads every byte of a backup and prints what it found.
func verifyBackup(dir, format string, out, progressOut io.Writer) error {
	m, err := backup.Read(dir)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Sprintf("%s: %v", dir, err)}
	}
	if format == "json" {
		return printBackup(dir, m, out)
	}
	fmt.Fprintln(out, m)
	return checkBackup(dir, m, out, progressOut)
}

// checkBackup prints every file of a backup that cannot be trusted; there must be none.
func checkBackup(dir string, m *backup.Manifest, out, progressOut io.Writer) error {
	p := newProgress(progressOut, "verify", fileBytes(m))
	damages := backup.Verify(dir, m, p.add)
	p.end()
	for _, err := range damages {
		fmt.Fprintf(out, "damaged: %v\n", err)
	}
	if len(damages) > 0 {
		return &exitError{exitDamaged, fmt.Sprintf("%s is damaged: %d of %d files", dir, len(damages), len(m.Files))}
	}
	return nil
}

// snapshotIn is the snapshot that an argument means: itself, or that of a node's directory.
func snapshotIn(path string) string {
	if s, err := os.Stat(path); err == nil && s.IsDir() {
		return filepath.Join(path, "image.db")
	}
	return path
}

func printReport(out io.Writer, rep *image.Report) {
	var blocks, size, upTo uint64
	for i := range rep.Rows {
		r := &rep.Rows[i]
		blocks, size, upTo = blocks+uint64(r.Blocks), size+r.Bytes, max(upTo, r.To.LSN)
	}
	when := "never saved as a whole"
	if rep.Saved != 0 {
		when = "saved " + time.UnixMilli(rep.Saved).UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(out, "snapshot of log %x: %d of %d shards, %d blocks, %d bytes, %s\n", rep.ID, len(rep.Rows), rep.Shards, blocks, size, when)
	fmt.Fprintf(out, "it needs its log from %d, and up to %d at least\n", rep.From, upTo)
	for _, err := range rep.Damages {
		fmt.Fprintf(out, "damaged: %v\n", err)
	}
}

func newSnapshotSave() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use: "save", Short: "Have a node save a snapshot, and wait for it",
		Long: "Have a node save a snapshot while it serves, and wait for it.\n" + snapshotHelp + "\n\nExit codes: 0 saved, 1 refused, or it could not be, 2 unreachable, 64 wrong usage.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				return usageError("%q is no client address: give host:port of the node, like --addr localhost:7000", addr)
			}
			return saveSnapshot(addr, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "localhost:7000", "client address of the node that is to save")
	return cmd
}

// savePoll is how often a save under way is looked at.
const savePoll = 100 * time.Millisecond

// saveSnapshot asks for a snapshot and follows it. One that is under way already is not
// enough: it may be past what the caller means.
func saveSnapshot(addr string, out io.Writer) error {
	before, err := persistence(addr)
	if err != nil {
		return &exitError{exitUnreachable, err.Error()}
	}
	asked := false
	for begun, told := time.Now(), time.Now(); ; time.Sleep(savePoll) {
		if !asked {
			_, err := askNode(nodeWait, addr, "BGSAVE")
			if asked = err == nil; err != nil && !strings.Contains(err.Error(), "already in progress") {
				return fmt.Errorf("%s does not save: %w", addr, err)
			}
		}
		p, err := persistence(addr)
		switch {
		case err != nil:
			return &exitError{exitUnreachable, err.Error()}
		case number(p, "aegis_save_failures") > number(before, "aegis_save_failures"):
			return fmt.Errorf("%s could not save: its log says why", addr)
		case number(p, "aegis_last_save_begun_ms") >= number(before, "aegis_time_ms"):
			fmt.Fprintf(out, "saved in %v: the snapshot has %d bytes\n", time.Since(begun).Round(10*time.Millisecond), number(p, "aegis_image_bytes"))
			return nil
		case time.Since(told) >= time.Second:
			told = time.Now()
			fmt.Fprintf(out, "%d of %d shards\n", number(p, "aegis_save_shards_done"), number(p, "aegis_save_shards"))
		}
	}
}

// persistence is what INFO of a node says of its log and snapshot.
func persistence(addr string) (map[string]string, error) {
	b, err := askNode(nodeWait, addr, "INFO", "persistence")
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s: %w", addr, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

func number(fields map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(fields[name], 10, 64)
	return n
}

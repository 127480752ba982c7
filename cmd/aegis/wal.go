package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

const walHelp = `
DIR is the directory of the segments. Nothing in it is changed. While a node writes
there, its last write may look torn.

Exit codes: 0 sound (a torn end is), 1 damaged, 2 no log that can be read, 64 wrong usage.`

// exitDamaged is the exit code of a log that lost something durable.
const exitDamaged = 1

// newWAL is the family of commands about the write-ahead log on disk.
func newWAL() *cobra.Command {
	family := &cobra.Command{
		Use: "wal", Short: "Look into a write-ahead log", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	family.AddCommand(
		walCommand("verify DIR", "Check every byte of a log and say what is torn or damaged", false),
		walCommand("dump DIR", "Print every frame of a log, then what verify says", true),
	)
	return family
}

func walCommand(use, short string, dump bool) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n" + walHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("which log? usage: aegis wal %s", use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError("unknown output format %q: use text or json", format)
			}
			return lookIntoLog(args[0], format, dump, cmd.OutOrStdout())
		},
	}
	if format = "text"; !dump {
		cmd.Flags().StringVarP(&format, "output", "o", format, "text or json")
	}
	return cmd
}

// lookIntoLog reads a log and prints what it found.
func lookIntoLog(dir, format string, dump bool, out io.Writer) error {
	d, err := wal.LookInto(dir)
	if err != nil {
		return &exitError{exitUnreachable, err.Error()}
	}
	cfg, err := wal.Describe(d)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Sprintf("%s: %v", dir, err)}
	}
	cfg.Boot = wal.Boot()
	frames := &framePrinter{out: out, silent: !dump}
	r, err := wal.Recover(cfg, frames)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Sprintf("%s: %v", dir, err)}
	}
	if format == "json" {
		return printLog(dir, &r.Recovery, out)
	}
	printRecovery(out, &r.Recovery)
	if len(r.Damages) > 0 {
		return &exitError{exitDamaged, fmt.Sprintf("%s is damaged", dir)}
	}
	return nil
}

func printRecovery(out io.Writer, r *wal.Recovery) {
	fmt.Fprintf(out, "mode %s: %d segments, %d bytes, %d frames, up to %d\n", r.Mode, r.Segments, r.Bytes, r.Frames, r.End)
	if t := r.Torn; t != nil {
		fmt.Fprintf(out, "torn at %s: %d bytes from there on were never durable\n", t.Place, t.Bytes)
	}
	for _, d := range r.Damages {
		fmt.Fprintf(out, "damaged at %s: %s; %s\n", d.Place, d.Why, lostShards(d.Shards))
	}
	if r.Intact {
		fmt.Fprintln(out, "intact: all that was acknowledged is there, but for what is damaged")
	} else {
		fmt.Fprintf(out, "not intact: %s\n", r.Why)
	}
}

func lostShards(ids []uint16) string {
	if len(ids) == 0 {
		return "no shard lost anything by it"
	}
	return "shards that lost writes: " + strings.Trim(fmt.Sprint(ids), "[]")
}

// framePrinter prints frames as they are read.
type framePrinter struct {
	out    io.Writer
	silent bool
}

func (p *framePrinter) Frame(f *wal.Frame) error {
	if p.silent {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "%d shard %d %s\n", f.LSN, f.Shard, shardgroup.DescribeFrame(f))
	return err
}

func (p *framePrinter) Damaged(shard uint16) {
	if !p.silent {
		fmt.Fprintf(p.out, "shard %d lost what stood here\n", shard)
	}
}

func (p *framePrinter) Progress(done, total int64) {}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	text string // "" = all was said already
}

func (e *exitError) Error() string { return e.text }

// usageError says that a command was called wrongly: calling it so again will not help.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...)}
}

func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}

// longFlags accepts single-dash spellings of long flags; behind -- nothing is a flag.
func longFlags(args []string) []string {
	out := slices.Clone(args)
	for i, a := range args {
		if a == "--" {
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && !strings.ContainsAny(a[1:2], "0123456789") {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

func newRoot() *cobra.Command {
	var opts options
	var version bool
	root := &cobra.Command{
		Use:           "aegis [flags]",
		Short:         "A distributed in-memory cache that speaks Redis",
		Long:          "aegis runs one node of a cluster. Without --seeds it founds a cluster of its own; with --seeds it joins one.",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if version {
				printVersion(cmd)
				return nil
			}
			cfg, err := opts.load(cmd)
			if err != nil {
				return err
			}
			return serve(cfg)
		},
		Args: cobra.ArbitraryArgs,
	}
	opts.declare(root)
	root.Flags().BoolVarP(&version, "version", "v", false, "print the version")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp(root))
	root.AddGroup(&cobra.Group{ID: "keys", Title: "Keys:"})
	root.AddCommand(newVersion(), newStatus(), newDemo(), newConfig(), newBench(), newWAL(), newSnapshot(), newBackup(), newFailover(), newLease(), newRebalance(), newRecover())
	root.AddCommand(newIntents()...)
	root.AddCommand(newKeyCommands()...)
	return root
}

// noArgs refuses words behind a command that takes none.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError("what is %q? %s takes flags only; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
}

// newHelp is cobra's command of the name, but a word that is no command is an error:
// cobra's own shows another page and calls that a success.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Show the flags of a command", Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil {
				return unknownCommand(root, args[0])
			}
			if len(rest) > 0 {
				return unknownCommand(found, rest[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// unknownCommand names the command that is spelt most like the word.
func unknownCommand(root *cobra.Command, word string) error {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if len(names) == 0 {
		return noArgs(root, []string{word})
	}
	return usageError("unknown command %q; the nearest is %q", word, node.Nearest(word, names))
}

// flagError names the flag that is spelt most like an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError("%v; see %s --help", err, cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return usageError("unknown flag -%s; see %s --help (a number below 0 goes behind = or --)", name, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return usageError("unknown flag --%s; the nearest is --%s", name, node.Nearest(name, names))
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		Run: func(cmd *cobra.Command, _ []string) { printVersion(cmd) },
	}
}

func printVersion(cmd *cobra.Command) { fmt.Fprintln(cmd.OutOrStdout(), "aegis", node.Version) }

// serve runs a node until it is told to leave, in a child process of its own unless
// this is that one, or shall be none.
func serve(cfg *node.Loaded) error {
	// Whoever reads the log may end before the node does: what is written then is lost, and
	// nothing else.
	signal.Ignore(syscall.SIGPIPE)
	w := newWard()
	if w == nil && !cfg.NoSupervise {
		return supervise(cfg)
	}
	log := newLogger(cfg, os.Stderr)
	defer func() { _ = log.Sync() }()
	boundHeap(cfg)
	stayAwake()
	n, err := node.New(cfg.Config, log)
	if err != nil {
		return err
	}
	if w != nil {
		n.LeaveTo(w.will)
	}
	banner(os.Stderr, n)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	heed(w, leave, func() {
		_ = log.Sync()
		os.Exit(130)
	})
	return n.Run(ctx)
}

// leaveSignals are the signals that tell a node to leave. A terminal that is closed sends SIGHUP,
// which nohup has ignored.
func leaveSignals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// heed makes a signal or an order of the supervisor leave, and a second one quit.
func heed(w *ward, leave, quit func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, leaveSignals()...)
	if w != nil {
		go w.heed(leave, quit)
	}
	go func() {
		<-signals
		leave()
		for range signals {
			if w == nil { // otherwise it may be a copy of an order
				quit()
			}
		}
	}()
}

// boundHeap makes the collector run often enough that garbage does not add more to
// what was configured than node.HeapBytes says: left alone it lets the heap grow to twice
// what lives. An operator's GOMEMLIMIT is respected, and so is GOGC, which stays at 100
// otherwise: with values outside the heap, six million SETs made six collections of
// 1 to 8 ms, so a larger one would save nothing and cost memory.
func boundHeap(cfg *node.Loaded) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(node.HeapBytes(cfg.MaxMemoryBytes, cfg.Usable.Bytes))
	}
}

// newLogger writes JSON, or columns on a terminal. It never waits for who reads it.
func newLogger(cfg *node.Loaded, out *os.File) *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if cfg.LogFormat == "console" || (cfg.LogFormat == "auto" && terminal(out)) {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	level, err := zapcore.ParseLevel(cfg.LogLevel)
	if err != nil {
		level = zap.InfoLevel
	}
	core := zapcore.NewCore(encoder, &spool{out: out, left: leftOut(encoder)}, level)
	if level > zap.DebugLevel {
		core = newStory(core)
	}
	return zap.New(core)
}

// leftOut is the line that stands for lines that nobody took in time.
func leftOut(encoder zapcore.Encoder) func(lines int) []byte {
	return func(lines int) []byte {
		e := zapcore.Entry{Level: zap.WarnLevel, Time: time.Now(), Message: "lines left out here: the reader of this log stood still"}
		b, err := encoder.EncodeEntry(e, []zapcore.Field{zap.Int("lines", lines)})
		if err != nil {
			return nil
		}
		return b.Bytes()
	}
}

func terminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func banner(w *os.File, n *node.Node) {
	for _, l := range n.Banner() {
		fmt.Fprintln(w, l)
	}
}

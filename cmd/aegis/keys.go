package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Exit codes of the commands on keys, beside exitUnreachable and exitUsage.
const (
	exitMissing = 1 // no such key, or a condition that was not met
	exitRefused = 3 // the server said no
	exitUnknown = 4 // a write that may have been applied or not
)

const exitCodes = `
Exit codes: 0 done, 1 no such key or condition not met, 2 nobody answers, 3 the server
refused, 4 the outcome of a write is unknown, 64 wrong usage.`

// keyTool is one run of a command on keys.
type keyTool struct {
	addr, format string
	timeout      time.Duration
	traced       bool
	cmd          *cobra.Command
	asker        *asker
}

func newKeyCommands() []*cobra.Command {
	return []*cobra.Command{newGet(), newSet(), newDel(), newTTL(), newIncr(), newCas(), newScan()}
}

// command makes a cobra command that runs with a connected tool.
func (k *keyTool) command(use, short, long string, args cobra.PositionalArgs, run func(args []string) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n" + long + exitCodes, GroupID: "keys",
		Args: func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return usageError("%v; usage: aegis %s", err, use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if k.format != "text" && k.format != "json" {
				return usageError("unknown output format %q: use text or json", k.format)
			}
			if k.timeout < time.Millisecond {
				return usageError("--timeout %v: it must be at least 1ms", k.timeout)
			}
			if k.asker, err = newAsker(k.addr, k.timeout); err != nil {
				return err
			}
			defer k.asker.close()
			k.cmd = cmd
			k.asker.trace = trace{on: k.traced, Shard: -1, begun: time.Now()}
			err = k.explained(run(args))
			if k.traced && k.format == "text" {
				k.asker.trace.print(cmd.ErrOrStderr())
			}
			return err
		},
	}
	f := c.Flags()
	declareAddr(f, &k.addr)
	f.StringVarP(&k.format, "output", "o", "text", "text or json")
	f.DurationVar(&k.timeout, "timeout", 3*time.Second, "how long to try")
	f.BoolVar(&k.traced, "trace", false, "say which shard, node and version it was, and what each step took")
	return c
}

// explained gives the errors of servers and connections their exit code and says what
// to do about them.
func (k *keyTool) explained(err error) error {
	var coded *exitError
	var server *client.ServerError
	var away *unreachedError
	switch {
	case err == nil, errors.As(err, &coded):
		return err
	case errors.As(err, &server):
		return &exitError{exitRefused, "the server refused: " + server.Text}
	case errors.As(err, &away):
		return &exitError{exitUnreachable, err.Error() + "; is it running, and is --addr its client address?"}
	}
	return err
}

// answer is what -o json prints.
type answer struct {
	Key     string  `json:"key"`
	Found   *bool   `json:"found,omitempty"`
	Done    *bool   `json:"done,omitempty"`
	Value   *string `json:"value,omitempty"`
	Base64  []byte  `json:"valueBase64,omitempty"` // instead of value where that is no text
	Number  *int64  `json:"number,omitempty"`
	TTL     *int64  `json:"ttlMilliseconds,omitempty"` // -1 = none
	Version *int64  `json:"version,omitempty"`
	Trace   *trace  `json:"trace,omitempty"`
}

func (k *keyTool) printJSON(a answer) error {
	if k.traced {
		a.Trace = &k.asker.trace
	}
	return json.NewEncoder(k.cmd.OutOrStdout()).Encode(a)
}

// say prints text, or the answer as JSON.
func (k *keyTool) say(text string, a answer) error {
	if k.format == "json" {
		return k.printJSON(a)
	}
	_, err := fmt.Fprintln(k.cmd.OutOrStdout(), text)
	return err
}

// missing prints that a condition was not met and ends with its exit code.
func (k *keyTool) missing(text string, a answer) error {
	if k.format == "json" {
		if err := k.printJSON(a); err != nil {
			return err
		}
		text = ""
	}
	return &exitError{exitMissing, text}
}

// keyShown is how much of a key an error names, in bytes.
const keyShown = 200

func noKey(key string) string {
	if len(key) > keyShown {
		return fmt.Sprintf("%q... (%d bytes): no such key", key[:keyShown], len(key))
	}
	return fmt.Sprintf("%q: no such key", key)
}

func (k *keyTool) ask(key string, writes bool, words ...string) (resp.Reply, error) {
	return k.asker.ask(question{key: key, words: words, writes: writes})
}

func newGet() *cobra.Command {
	k := &keyTool{}
	return k.command("get KEY", "Print the value of a key",
		"\nThe bytes are printed as they are; a newline follows only on a terminal.\n\n  aegis get hello\n  aegis get picture > picture.png\n  aegis get hello --trace -o json\n",
		cobra.ExactArgs(1), func(args []string) error {
			r, err := k.ask(args[0], false, "GET", args[0])
			if err != nil {
				return err
			}
			found := !r.IsNull()
			a := answer{Key: args[0], Found: &found}
			if !found {
				return k.missing(noKey(args[0]), a)
			}
			if k.format == "json" {
				a.setValue(r.Text)
				return k.printJSON(a)
			}
			return printRaw(k.cmd.OutOrStdout(), r.Text)
		})
}

func (a *answer) setValue(v []byte) {
	if !utf8.Valid(v) {
		a.Base64 = v
		return
	}
	s := string(v)
	a.Value = &s
}

// printRaw writes bytes as they are; on a terminal the prompt gets a line of its own.
func printRaw(w io.Writer, v []byte) error {
	if f, ok := w.(*os.File); ok && terminal(f) {
		v = append(v, '\n')
	}
	_, err := w.Write(v)
	return err
}

func newSet() *cobra.Command {
	k := &keyTool{}
	var ttl time.Duration
	var nx, xx, keep, isBase64 bool
	c := k.command("set KEY VALUE", "Set the value of a key",
		"\nThe value - is read from standard input.\n\n  aegis set hello world\n  aegis set session abc --ttl 30m --nx\n  aegis set picture - < picture.png\n",
		cobra.ExactArgs(2), func(args []string) error {
			value, err := k.value(args[1], isBase64)
			if err != nil {
				return err
			}
			words := []string{"SET", args[0], value}
			more, err := setOptions(ttl, k.cmd.Flags().Changed("ttl"), nx, xx, keep)
			if err != nil {
				return err
			}
			r, err := k.ask(args[0], true, append(words, more...)...)
			if err != nil {
				return err
			}
			done := !r.IsNull()
			a := answer{Key: args[0], Done: &done}
			switch {
			case done:
				return k.say("OK", a)
			case nx:
				return k.missing(fmt.Sprintf("%q exists already, and --nx was given: nothing was set", args[0]), a)
			}
			return k.missing(fmt.Sprintf("%q does not exist, and --xx was given: nothing was set", args[0]), a)
		})
	f := c.Flags()
	f.DurationVar(&ttl, "ttl", 0, "time to live, like 5s or 30m (default: none)")
	f.BoolVar(&nx, "nx", false, "only if the key does not exist")
	f.BoolVar(&xx, "xx", false, "only if the key exists")
	f.BoolVar(&keep, "keep-ttl", false, "keep the time to live that the key has")
	f.BoolVar(&isBase64, "base64", false, "the value is given in base64")
	return c
}

// value is what was given, or standard input for -.
func (k *keyTool) value(given string, isBase64 bool) (string, error) {
	if given == "-" {
		b, err := io.ReadAll(k.cmd.InOrStdin())
		if err != nil {
			return "", fmt.Errorf("the value cannot be read from standard input: %w", err)
		}
		given = string(b)
	}
	if isBase64 {
		b, err := base64.StdEncoding.DecodeString(given)
		if err != nil {
			return "", usageError("the value is no base64: %v", err)
		}
		given = string(b)
	}
	// A node ends a connection that announces more, and a write that breaks off has an
	// unknown outcome: said here, it is known that nothing was set.
	if most := client.DefaultConfig(nil).MaxValueBytes; len(given) > most {
		return "", usageError("the value has %d bytes, and no node takes more than %d: nothing was set", len(given), most)
	}
	return given, nil
}

func setOptions(ttl time.Duration, hasTTL, nx, xx, keep bool) (words []string, err error) {
	switch {
	case nx && xx:
		return nil, usageError("--nx and --xx cannot both hold: give one")
	case keep && hasTTL:
		return nil, usageError("--ttl and --keep-ttl exclude each other: give one")
	case hasTTL && ttl < time.Millisecond:
		return nil, usageError("--ttl %v: it must be at least 1ms", ttl)
	case hasTTL:
		words = append(words, "PX", strconv.FormatInt(ttl.Milliseconds(), 10))
	case keep:
		words = append(words, "KEEPTTL")
	}
	if nx {
		words = append(words, "NX")
	}
	if xx {
		words = append(words, "XX")
	}
	return words, nil
}

func newDel() *cobra.Command {
	k := &keyTool{}
	return k.command("del KEY...", "Delete keys and print how many there were",
		"\nEach key is deleted by itself: keys on several nodes are fine.\n\n  aegis del hello session\n",
		cobra.MinimumNArgs(1), func(args []string) error {
			n := int64(0)
			for _, key := range args {
				r, err := k.ask(key, true, "DEL", key)
				if err != nil {
					return err
				}
				n += r.Int
			}
			a := answer{Key: args[0], Number: &n}
			if n == 0 {
				return k.missing("none of the keys exists", a)
			}
			return k.say(strconv.FormatInt(n, 10), a)
		})
}

func newTTL() *cobra.Command {
	k := &keyTool{}
	return k.command("ttl KEY", "Print how long a key still lives",
		"\nPrints a duration like 4.983s, or \"none\" for a key that stays.\n\n  aegis ttl session\n",
		cobra.ExactArgs(1), func(args []string) error {
			r, err := k.ask(args[0], false, "PTTL", args[0])
			if err != nil {
				return err
			}
			found := r.Int != -2
			a := answer{Key: args[0], Found: &found}
			if !found {
				return k.missing(noKey(args[0]), a)
			}
			a.TTL = &r.Int
			text := "none"
			if r.Int >= 0 {
				text = (time.Duration(r.Int) * time.Millisecond).String()
			}
			return k.say(text, a)
		})
}

// addend takes the key alone: the number that INCRBY has behind it is a flag here.
func addend(cmd *cobra.Command, args []string) error {
	if len(args) == 2 {
		return fmt.Errorf("what is %q? the number to add goes with --by, like --by %[1]s", args[1])
	}
	return cobra.ExactArgs(1)(cmd, args)
}

func newIncr() *cobra.Command {
	k := &keyTool{}
	var by int64
	c := k.command("incr KEY", "Add to a number and print the result",
		"\nA key that does not exist counts as 0.\n\n  aegis incr visits\n  aegis incr stock --by -5\n",
		addend, func(args []string) error {
			r, err := k.ask(args[0], true, "INCRBY", args[0], strconv.FormatInt(by, 10))
			if err != nil {
				return err
			}
			return k.say(strconv.FormatInt(r.Int, 10), answer{Key: args[0], Number: &r.Int})
		})
	c.Flags().Int64Var(&by, "by", 1, "what is added")
	return c
}

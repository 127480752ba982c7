package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

func newCas() *cobra.Command {
	k := &keyTool{}
	var old, version string
	c := k.command("cas KEY VALUE (--if-value OLD | --if-version V)", "Set a key if nobody changed it meanwhile",
		"\nVersions are those that --trace prints with -o json; version 0 means that the key must not\nexist. The new version is printed.\n\n  aegis cas config new --if-value old\n  aegis cas config new --if-version 1099511627779\n",
		cobra.ExactArgs(2), func(args []string) error {
			byValue, byVersion := k.cmd.Flags().Changed("if-value"), k.cmd.Flags().Changed("if-version")
			if byValue == byVersion {
				return usageError("give either --if-value or --if-version")
			}
			value, err := k.value(args[1], false)
			if err != nil {
				return err
			}
			if byValue {
				return k.casValue(args[0], value, old)
			}
			return k.casVersion(args[0], value, version)
		})
	c.Flags().StringVar(&old, "if-value", "", "set only if this is the value")
	c.Flags().StringVar(&version, "if-version", "", "set only if this is the version")
	return c
}

func (k *keyTool) casValue(key, value, old string) error {
	r, err := k.ask(key, true, "SET", key, value, "IFEQ", old)
	if err != nil {
		return err
	}
	done := !r.IsNull()
	a := answer{Key: key, Done: &done}
	if !done {
		return k.missing(fmt.Sprintf("%q has another value, or does not exist: nothing was set", key), a)
	}
	return k.say("OK", a)
}

// casVersion understands the refusal "VERSION <current>".
func (k *keyTool) casVersion(key, value, version string) error {
	if n, err := strconv.ParseInt(version, 10, 64); err != nil || n < 0 {
		return usageError("--if-version %q: give a number as --trace -o json prints it, or 0 for a key that must not exist", version)
	}
	r, err := k.ask(key, true, "SET", key, value, "IFVER", version)
	if err != nil {
		var e *client.ServerError
		if errors.As(err, &e) && e.Code == "VERSION" {
			var now int64
			_, _ = fmt.Sscanf(e.Text, "VERSION %d", &now)
			done := false
			return k.missing(fmt.Sprintf("%q has version %d by now: nothing was set", key, now), answer{Key: key, Done: &done, Version: &now})
		}
		return err
	}
	done := true
	return k.say(strconv.FormatInt(r.Int, 10), answer{Key: key, Done: &done, Version: &r.Int})
}

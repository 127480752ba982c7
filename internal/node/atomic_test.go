package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMultiKeyCommandsAreAtomicInASlot: all keys of a multi-key command lie in one
// slot so that it can be one step (data-protocol 1: atomicity is the slot), and
// Redis's MSET is: no client sees some of its keys new and others old.
func TestMultiKeyCommandsAreAtomicInASlot(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	const keys = 20
	mget := []string{"MGET"}
	mset := func(v string) []string {
		words := []string{"MSET"}
		for k := range keys {
			words = append(words, fmt.Sprintf("{1}k%d", k), v)
		}
		return words
	}
	for k := range keys {
		mget = append(mget, fmt.Sprintf("{1}k%d", k))
	}
	w := dialRaw(t, n.cfg.ClientAddr)
	w.pipeline(1, "+OK\r\n", mset("0")...)
	w.until(t, "+OK\r\n")
	stop := make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				wrote <- nil
				return
			default:
			}
			w.pipeline(1, "+OK\r\n", mset(fmt.Sprint(i%2))...)
			if err := w.turn(); err != nil {
				wrote <- err
				return
			}
		}
	}()
	all := func(v string) []byte {
		return append(fmt.Appendf(nil, "*%d\r\n", keys), bytes.Repeat([]byte("$1\r\n"+v+"\r\n"), keys)...)
	}
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, string(all("0")), mget...)
	looks, torn := 0, 0
	for begun := time.Now(); time.Since(begun) < 2*time.Second; looks++ {
		if err := r.turn(); err != nil && !bytes.Equal(r.room, all("1")) {
			torn++
		}
	}
	close(stop)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if torn > 0 {
		t.Errorf("%d of %d MGETs saw half an MSET", torn, looks)
	}
}

// TestARenameIsOneStep: the value is under one of its two keys whenever one looks.
func TestARenameIsOneStep(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	ready := dialRaw(t, n.cfg.ClientAddr)
	ready.pipeline(1, "+OK\r\n", "SET", "{1}a", strings.Repeat("v", 100<<10)) // copying it takes a while
	ready.until(t, "+OK\r\n")
	w, r := dialRaw(t, n.cfg.ClientAddr), dialRaw(t, n.cfg.ClientAddr)
	stop := make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				wrote <- nil
				return
			default:
			}
			from, to := "{1}a", "{1}b"
			if i%2 == 1 {
				from, to = to, from
			}
			w.pipeline(1, "+OK\r\n", "RENAME", from, to)
			if err := w.turn(); err != nil {
				wrote <- err
				return
			}
		}
	}()
	r.pipeline(50, ":1\r\n", "EXISTS", "{1}a", "{1}b")
	looks, torn := 0, 0
	for begun := time.Now(); time.Since(begun) < time.Second; looks++ {
		if err := r.turn(); err != nil {
			torn++
		}
	}
	close(stop)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if torn > 0 {
		t.Errorf("%d of %d looks saw both keys or none", torn, looks)
	}
}

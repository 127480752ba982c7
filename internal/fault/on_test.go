//go:build chaos || mutants

package fault

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestOrdersAreObeyed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if Disk(path, f) != File(f) {
		t.Error("without a socket the file is another one")
	}
	t.Setenv(variable, "socket")
	d := Disk(path, f)
	size := func() int64 { i, _ := os.Stat(path); return i.Size() }
	write := func(want error) {
		t.Helper()
		if _, err := d.Write([]byte("abc")); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	write(nil)
	if size() != 3 {
		t.Errorf("%d bytes", size())
	}
	obey(&Order{Holds: true})
	write(nil)
	if s := obey(&Order{Holds: true}); size() != 3 || s.Held != 3 || string(Unsynced(path)) != "abc" {
		t.Errorf("%d bytes in the file before a sync, %+v", size(), s)
	}
	if err := d.Sync(); err != nil || size() != 6 {
		t.Errorf("%d bytes after it, %v", size(), err)
	}
	obey(&Order{Holds: true, Fails: "lost"})
	write(nil)
	if err := d.Sync(); !errors.Is(err, syscall.EIO) || size() != 6 || len(Unsynced(path)) != 0 {
		t.Errorf("%d bytes after a sync that lost three, %v", size(), err)
	}
	obey(&Order{Hangs: true})
	synced := make(chan error)
	go func() { synced <- d.Sync() }()
	for obey(&Order{Hangs: true}).Hung == 0 {
	}
	write(nil) // it does not stand still
	obey(&Order{})
	if err := <-synced; err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "abcabc\x00\x00\x00abc" {
		t.Errorf("%q after three bytes were lost", b)
	}
	obey(&Order{Fails: "write"})
	write(syscall.ENOSPC)
	obey(&Order{Fails: "sync"})
	write(nil)
	if err := d.Sync(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	obey(&Order{PPM: 1_000_000, WallMS: 5000})
	from := time.Now()
	for time.Since(from) < 20*time.Millisecond {
	}
	if s := Skew(); s < 15*time.Millisecond || Wall() != 5000 {
		t.Errorf("%v and %d ms ahead", s, Wall())
	}
	s := obey(&Order{})
	if a := Skew(); a != s.Skew || s.Failed != 3 || s.WrongReads != 1 || Wall() != 0 {
		t.Errorf("it went on: %v after %+v", a, s)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

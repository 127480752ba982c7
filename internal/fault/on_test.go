//go:build chaos

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
	if Disk(f) != File(f) {
		t.Error("without a socket the file is another one")
	}
	t.Setenv(variable, "socket")
	d := Disk(f)
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
	if s := obey(&Order{Holds: true}); size() != 3 || s.Held != 3 {
		t.Errorf("%d bytes in the file before a sync, %+v", size(), s)
	}
	if err := d.Sync(); err != nil || size() != 6 {
		t.Errorf("%d bytes after it, %v", size(), err)
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
	if a := Skew(); a != s.Skew || s.Failed != 2 || s.WrongReads != 1 || Wall() != 0 {
		t.Errorf("it went on: %v after %+v", a, s)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Format is the version of the directory; a later one is refused.
const Format = 1

// Manifest says what a backup is of.
type Manifest struct {
	Format       int       `json:"format"`
	Version      string    `json:"aegisVersion"`
	Cluster      string    `json:"cluster"`
	Shards       int       `json:"numShards"`
	Groups       int       `json:"numGroups"`
	Factor       int       `json:"replicationFactor"`
	VirtualNodes int       `json:"virtualNodes"`
	Begun        time.Time `json:"begun"`
	Ended        time.Time `json:"ended"`
	Keys         int64     `json:"keys"`
	Bytes        int64     `json:"bytes"` // of keys and values
	Files        []Shard   `json:"shards"`
}

// Shard is one shard of a backup, as it was at one moment.
type Shard struct {
	Shard     shardmap.ShardID `json:"shard"`
	FirstSlot shardmap.Slot    `json:"firstSlot"`
	LastSlot  shardmap.Slot    `json:"lastSlot"`
	Version   shardmap.Version `json:"version"` // of the last write in it
	Epoch     uint32           `json:"epoch"`   // of that
	Time      int64            `json:"timeMs"`  // shard time, unix ms: what was dead by then is not in it
	Keys      int64            `json:"keys"`
	Bytes     int64            `json:"bytes"` // of keys and values
	FileBytes int64            `json:"fileBytes"`
	Sum       string           `json:"sha256"` // of the file
}

const (
	manifestName = "manifest.json"
	sealName     = manifestName + ".sha256"
)

// FileName is the name of a shard's file.
func FileName(shard shardmap.ShardID) string { return fmt.Sprintf("shard-%05d.aegis", shard) }

// Is says whether a directory holds a backup, whole or not.
func Is(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		return true
	}
	names, _ := filepath.Glob(filepath.Join(dir, "shard-*.aegis*"))
	return len(names) > 0
}

// Make makes the directory of a new backup; one that holds anything is refused.
func Make(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return err
	case len(names) > 0:
		return fmt.Errorf("%s is not empty: a backup gets a directory of its own", dir)
	}
	return nil
}

// Seal writes the manifest, which makes the files in the directory a backup.
func Seal(dir string, m *Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if err := writeFile(filepath.Join(dir, sealName), sealOf(b)); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, manifestName+".new"), b); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, manifestName+".new"), filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// sealOf is the sum of a manifest, as sha256sum writes and checks it.
func sealOf(manifest []byte) []byte {
	sum := sha256.Sum256(manifest)
	return fmt.Appendf(nil, "%s  %s\n", hex.EncodeToString(sum[:]), manifestName)
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ErrUnfinished says that a directory has no manifest.
var ErrUnfinished = errors.New("it has no manifest: the backup did not come to its end")

// Read reads the manifest of a backup.
func Read(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnfinished
	} else if err != nil {
		return nil, err
	}
	seal, err := os.ReadFile(filepath.Join(dir, sealName))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(seal, sealOf(b)) {
		return nil, fmt.Errorf("%s is damaged: %s is the sum of another one", manifestName, sealName)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", manifestName, err)
	}
	if m.Format > Format {
		return nil, fmt.Errorf("it has format %d, and this version of aegis reads %d: use version %s, which wrote it, or a newer one", m.Format, Format, m.Version)
	}
	return m, m.check()
}

// check wants every slot to be in one shard, and one only.
func (m *Manifest) check() error {
	next := 0
	for _, s := range m.Files {
		if int(s.FirstSlot) != next || s.LastSlot < s.FirstSlot {
			return fmt.Errorf("%s does not name all slots: shard %d begins at slot %d, not at %d", manifestName, s.Shard, s.FirstSlot, next)
		}
		next = int(s.LastSlot) + 1
	}
	if next != shardmap.Slots {
		return fmt.Errorf("%s does not name all slots: it ends before slot %d", manifestName, next)
	}
	return nil
}

// Verify reads every byte of a backup, and says of each file that cannot be trusted why.
// step is told of the bytes read.
func Verify(dir string, m *Manifest, step func(n int64)) (damages []error) {
	for i := range m.Files {
		if err := verify(dir, &m.Files[i], step); err != nil {
			damages = append(damages, fmt.Errorf("%s (slots %d to %d, %d keys): %w", FileName(m.Files[i].Shard), m.Files[i].FirstSlot, m.Files[i].LastSlot, m.Files[i].Keys, err))
		}
	}
	return damages
}

func verify(dir string, s *Shard, step func(n int64)) error {
	r, err := OpenShard(dir, s)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		_, n, err := r.Next()
		switch {
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		step(n)
	}
}

// String is a line for people.
func (m *Manifest) String() string {
	return fmt.Sprintf("backup of cluster %s, made by aegis %s from %s to %s: %d shards, %d keys, %d bytes of keys and values",
		strings.TrimSpace(m.Cluster[:min(8, len(m.Cluster))]), m.Version, m.Begun.UTC().Format(time.RFC3339), m.Ended.UTC().Format(time.RFC3339), len(m.Files), m.Keys, m.Bytes)
}

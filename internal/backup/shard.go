package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
)

// The file of a shard:
//
//	"AEGISBAK" | format u16 | shard u16
//	{ length u32 | block }...   blocks as in an image, each summed under its shard and number
//
// A block holds entries as a fill carries them. The end is where the manifest says.
const (
	magic     = "AEGISBAK"
	headBytes = len(magic) + 2 + 2
	blockMax  = 256 << 20
)

func head(shard shardmap.ShardID) []byte {
	b := binary.BigEndian.AppendUint16([]byte(magic), Format)
	return binary.BigEndian.AppendUint16(b, uint16(shard))
}

// blockKey is what a block is summed under: one that stands in another's place is damaged.
func blockKey(shard shardmap.ShardID, number uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(shard)), number)
}

// Writer writes the file of a shard. It is in its place, under its name, once End was called.
type Writer struct {
	dir    string
	file   *os.File
	sum    hash.Hash
	blocks uint32
	shard  Shard
}

// NewWriter begins the file of a shard; of what is given, keys, bytes and sums are counted anew.
func NewWriter(dir string, s Shard) (*Writer, error) {
	s.Keys, s.Bytes, s.FileBytes = 0, 0, 0
	f, err := os.OpenFile(filepath.Join(dir, FileName(s.Shard)+".new"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, file: f, sum: sha256.New(), shard: s}
	return w, w.write(head(s.Shard))
}

func (w *Writer) write(b []byte) error {
	w.shard.FileBytes += int64(len(b))
	w.sum.Write(b)
	_, err := w.file.Write(b)
	return err
}

// Add appends entries.
func (w *Writer) Add(entries []byte) error {
	if len(entries) == 0 {
		return nil
	}
	if err := w.shard.count(entries); err != nil {
		return err
	}
	b := image.EncodeBlock(blockKey(w.shard.Shard, w.blocks), entries)
	w.blocks++
	return w.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// count adds entries to what the shard has. They must be its own.
func (s *Shard) count(entries []byte) error {
	strays := 0
	err := statemachine.EachEntry(entries, func(key, value []byte, _ shardmap.Version, _ int64) {
		s.Keys++
		s.Bytes += int64(len(key) + len(value))
		if slot := shardmap.SlotOf(key); slot < s.FirstSlot || slot > s.LastSlot {
			strays++
		}
	})
	if err == nil && strays > 0 {
		err = fmt.Errorf("%d keys in it are of other slots", strays)
	}
	return err
}

// End makes the file durable and gives its row of the manifest.
func (w *Writer) End() (Shard, error) {
	w.shard.Sum = hex.EncodeToString(w.sum.Sum(nil))
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		return w.shard, err
	}
	path := filepath.Join(w.dir, FileName(w.shard.Shard))
	return w.shard, os.Rename(path+".new", path)
}

// Abandon removes what was written.
func (w *Writer) Abandon() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// Reader reads the file of a shard.
type Reader struct {
	file   *os.File
	in     *bufio.Reader
	sum    hash.Hash
	want   *Shard
	have   Shard
	blocks uint32
	block  []byte
	raw    []byte
}

var (
	errShort  = errors.New("it is shorter than it was")
	errLonger = errors.New("it is longer than it was")
	errSum    = errors.New("it fails its sha256 sum")
	errCount  = errors.New("it has not the keys that the manifest says")
)

// OpenShard opens the file of a shard.
func OpenShard(dir string, s *Shard) (*Reader, error) {
	f, err := os.Open(filepath.Join(dir, FileName(s.Shard)))
	if err != nil {
		return nil, err
	}
	r := &Reader{file: f, in: bufio.NewReaderSize(f, 256<<10), sum: sha256.New(), want: s, have: *s}
	r.have.Keys, r.have.Bytes, r.have.FileBytes = 0, 0, 0
	b := make([]byte, headBytes)
	if err := r.read(b); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if string(b) != string(head(s.Shard)) {
		return nil, errors.Join(errors.New("its head is not that of the shard, or of another format"), f.Close())
	}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

func (r *Reader) read(b []byte) error {
	if _, err := io.ReadFull(r.in, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	} else if err != nil {
		return err
	}
	r.sum.Write(b)
	r.have.FileBytes += int64(len(b))
	return nil
}

// Next gives the entries of the next block, valid until the next call, and how many bytes of the
// file they took; none at the end, where the whole file has been checked.
func (r *Reader) Next() (entries []byte, n int64, err error) {
	if r.have.FileBytes >= r.want.FileBytes {
		return nil, 0, r.end()
	}
	var length [4]byte
	if err := r.read(length[:]); err != nil {
		return nil, 0, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > blockMax || int64(size) > r.want.FileBytes-r.have.FileBytes {
		return nil, 0, fmt.Errorf("block %d fails its length", r.blocks)
	}
	if uint32(cap(r.block)) < size {
		r.block = make([]byte, size)
	}
	if err := r.read(r.block[:size]); err != nil {
		return nil, 0, err
	}
	if r.raw, err = image.DecodeBlock(blockKey(r.want.Shard, r.blocks), r.block[:size], r.raw); err == nil {
		err = r.have.count(r.raw)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("block %d: %w", r.blocks, err)
	}
	r.blocks++
	return r.raw, int64(len(length)) + int64(size), nil
}

func (r *Reader) end() error {
	if _, err := r.in.ReadByte(); err == nil {
		return errLonger
	}
	switch {
	case hex.EncodeToString(r.sum.Sum(nil)) != r.want.Sum:
		return errSum
	case r.have != *r.want:
		return errCount
	}
	return nil
}

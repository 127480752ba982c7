package wal

import "testing"

// BenchmarkAppend is one record of a SET of 100 bytes, 64 of them in one write that costs
// nothing.
func BenchmarkAppend(b *testing.B) {
	l, _, err := open(Config{FS: void{NewMemory()}, Mode: Write, Shards: testShards}, &ignore{})
	if err != nil {
		b.Fatal(err)
	}
	record := make([]byte, 33+16+100)
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for i := range b.N {
		l.Append(uint16(i%testShards), kindTest, uint64(i), record)
		if i%64 == 63 {
			if _, err := l.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRecover reads such records, without what a shard does with them.
func BenchmarkRecover(b *testing.B) {
	fs := NewMemory()
	cfg := Config{FS: fs, Mode: Write, Boot: [16]byte{1}, Shards: testShards}
	l, _, err := open(cfg, &ignore{})
	if err != nil {
		b.Fatal(err)
	}
	record := make([]byte, 33+16+100)
	for i := range b.N {
		l.Append(uint16(i%testShards), kindTest, uint64(i), record)
		if i%1024 == 1023 {
			if _, err := l.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(record)))
	b.ResetTimer()
	v := &ignore{}
	if rec, err := verify(cfg, v); err != nil || !rec.Intact || v.frames != b.N {
		b.Fatalf("%+v, %v, %d frames", rec, err, v.frames)
	}
}

// ignore counts frames.
type ignore struct{ frames int }

func (v *ignore) Frame(*Frame) error         { v.frames++; return nil }
func (v *ignore) Damaged(shard uint16)       {}
func (v *ignore) Progress(done, total int64) {}

// void is a directory that keeps nothing.
type void struct{ *Memory }

func (void) Create(string) (File, error) { return void{}, nil }
func (void) Write(b []byte) (int, error) { return len(b), nil }
func (void) Sync() error                 { return nil }
func (void) Close() error                { return nil }

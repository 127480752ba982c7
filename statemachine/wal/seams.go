package wal

// FS is the directory of one log. Its files are written once, from front to back,
// by one Log. What a crash may do to it is drawn by Memory.
type FS interface {
	// List gives the files of the directory and how long each is, in bytes.
	List() (map[string]int64, error)
	// Read appends a file's first bytes to dst, all of them when max is 0.
	Read(name string, dst []byte, max int64) ([]byte, error)
	// Create makes a file that must not exist.
	Create(name string) (File, error)
	// Cut makes a file size bytes long, and that and its bytes durable. Those from doubted
	// on are written once more for that: of them a Sync may have failed in a former
	// process, and the system may take them for clean and not have them on the disk.
	Cut(name string, size, doubted int64) error
	// Remove deletes a file.
	Remove(name string) error
	// SyncNames makes durable which files there are.
	SyncNames() error
}

// File is a segment being written.
type File interface {
	Write(b []byte) (int, error)
	// Sync makes durable what was written before. After an error nothing is known of
	// those bytes, and a second Sync that succeeds would say nothing of them.
	Sync() error
	Close() error
}

// LSN is a place in the log: the bytes of all frames of the log's user before it,
// counted from the log's beginning. It rises for as long as the log's directory lives.
type LSN uint64

// Kind says what a frame is to the log's user.
type Kind uint8

// KindFirst is the lowest Kind that the user of a log may take.
const KindFirst Kind = 16

// Frame is one frame as it is read back. Payload is valid until the call returns.
type Frame struct {
	LSN     LSN // where it begins
	Kind    Kind
	Shard   uint16
	Payload []byte
}

// Visitor takes what recovery finds, in the order of the log.
type Visitor interface {
	// Frame brings a frame. That of a shard that Damaged named has a hole before it.
	Frame(f *Frame) error
	// Damaged says that frames of a shard that stood before this place are lost.
	Damaged(shard uint16)
	// Progress is called after every segment, in bytes.
	Progress(done, total int64)
}

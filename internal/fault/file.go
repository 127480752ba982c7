package fault

// File is a file that is written from front to back.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// Target is a File of which a part can be left out.
type Target interface {
	File
	WriteAt(b []byte, at int64) (int, error)
}

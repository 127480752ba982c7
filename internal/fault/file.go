package fault

// File is a file that is written from front to back.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

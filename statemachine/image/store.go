package image

// Disk is where images live: the file system, or a Memory in the simulator and in tests.
type Disk interface {
	open(path string) (store, error)
	// remove takes an image away; that there is none is no error.
	remove(path string) error
	rename(from, to string) error
	// keep makes the name of an image durable.
	keep(path string) error
	bytes(path string) int64
}

// store holds buckets of keys and values. An update is made whole or not at all, and is
// durable when it returns.
type store interface {
	View(read func(tx tx) error) error
	Update(write func(tx tx) error) error
	Close() error
}

// tx reads a store, or changes it. What an update reads is what was there before it.
type tx interface {
	Bucket(name []byte) bucket // nil: there is none
	Create(name []byte) error
	Empty() bool
}

// bucket holds keys in their order. Its bytes are valid, and not to be changed, until the
// end of the transaction.
type bucket interface {
	Get(key []byte) []byte
	Put(key, value []byte) error
	Delete(key []byte) error
	Cursor() cursor
}

// cursor walks over a bucket; a nil key is its end.
type cursor interface {
	Seek(key []byte) (k, v []byte)
	Next() (k, v []byte)
}

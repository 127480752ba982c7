package lru

// extents holds the values that are too long for a log: moving a record then moves
// its stub only, and no value is copied because it earned a second chance.
type extents struct {
	values [][]byte // by number; nil = free
	free   []uint32
	held   int64
}

// heldBytes is the memory of the values and of their table.
func (x *extents) heldBytes() int64 {
	return x.held + int64(cap(x.values))*24 + int64(cap(x.free))*4
}

// at is a value.
func (x *extents) at(number uint64) []byte { return x.values[number] }

// put stores a value.
func (x *extents) put(value []byte, p *Pool) (number uint64) {
	b := p.extent(len(value))
	copy(b, value)
	x.held += int64(cap(b))
	if n := len(x.free); n > 0 {
		number, x.free = uint64(x.free[n-1]), x.free[:n-1]
		x.values[number] = b
		return number
	}
	x.values = append(x.values, b)
	return uint64(len(x.values) - 1)
}

// overwrite puts a value that takes as many pages in the place of another one.
func (x *extents) overwrite(number uint64, value []byte) {
	b := x.values[number][:len(value)]
	copy(b, value)
	x.values[number] = b
}

// drop gives an extent back.
func (x *extents) drop(number uint64, p *Pool) {
	b := x.values[number]
	x.held -= int64(cap(b))
	x.values[number] = nil
	p.giveExtent(b)
	x.free = append(x.free, uint32(number))
	if len(x.free) == len(x.values) {
		x.values, x.free = nil, nil
	}
}

// clear gives everything back.
func (x *extents) clear(p *Pool) {
	for _, b := range x.values {
		if b != nil {
			p.giveExtent(b)
		}
	}
	*x = extents{}
}

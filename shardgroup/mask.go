package shardgroup

// MaxShards is the most shards a group may have: 16,384 shards in 64 groups.
const MaxShards = 256

// mask has one bit per shard of a group. It is comparable; the zero mask is empty.
type mask [MaxShards / 64]uint64

// maskOf is the mask of the first n shards.
func maskOf(n int) (m mask) {
	for i := range m {
		switch left := n - 64*i; {
		case left >= 64:
			m[i] = ^uint64(0)
		case left > 0:
			m[i] = 1<<left - 1
		}
	}
	return m
}

func (m mask) has(i int) bool { return m[i/64]>>(i%64)&1 == 1 }

func (m *mask) put(i int, on bool) {
	if m[i/64] &^= 1 << (i % 64); on {
		m[i/64] |= 1 << (i % 64)
	}
}

// without is m less the bits of o.
func (m mask) without(o mask) mask {
	for i := range m {
		m[i] &^= o[i]
	}
	return m
}

func (m mask) empty() bool { return m == mask{} }

// words is how many words of the mask say something; the rest are not sent.
func (m mask) words() int {
	n := len(m)
	for n > 0 && m[n-1] == 0 {
		n--
	}
	return n
}

// mask writes how many words follow, and the words.
func (w *writer) mask(m mask) {
	n := m.words()
	w.u8(byte(n))
	for _, word := range m[:n] {
		w.u64(word)
	}
}

// mask reads what the writer wrote; a last word that says nothing is no mask, so
// that there is one form of each.
func (r *reader) mask() (m mask) {
	n := int(r.u8())
	if n > len(m) {
		r.bad = true
		return m
	}
	for i := range m[:n] {
		m[i] = r.u64()
	}
	r.bad = r.bad || m.words() != n
	return m
}

package statemachine

// DigestBuckets is the number of hash ranges that have a digest each.
const DigestBuckets = 1024

const digestShift = 64 - 10

// toggle adds an entry to the digest or takes it out: both are the same XOR.
func (m *Machine) toggle(hash, version uint64, deadline int64) {
	d := digestEntry(hash, version, deadline)
	m.digest[hash>>digestShift] ^= d
	m.total ^= d
}

func digestEntry(hash, version uint64, deadline int64) uint64 {
	return mix(mix(hash^version*0x9e3779b97f4a7c15) + uint64(deadline))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Digest is the XOR over all entries of a hash of (key hash, version, deadline),
// kept at every change. Two copies with equal positions and equal T have equal
// digests once both are settled.
func (m *Machine) Digest() uint64 { return m.total }

// DigestOf is the digest of the i-th of DigestBuckets hash ranges.
func (m *Machine) DigestOf(i int) uint64 { return m.digest[i] }

// DigestWithin is the digest of [lo, hi], whose ends are ends of DigestBuckets ranges.
func (m *Machine) DigestWithin(lo, hi uint64) (digest uint64) {
	for i := lo >> digestShift; i <= hi>>digestShift; i++ {
		digest ^= m.digest[i]
	}
	return digest
}

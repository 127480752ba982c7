package statemachine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/baxromumarov/aegisKV/lru"
)

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

// VersionSize is the length of one entry of AppendVersions: hash u64, digest u32.
const VersionSize = 8 + 4

// bucketRange is the hash range of a digest's bucket.
func bucketRange(i int) (lo, hi uint64) {
	lo = uint64(i) << digestShift
	return lo, lo | (1<<digestShift - 1)
}

// AppendVersions names the live entries of one of the DigestBuckets by what stands under
// each hash, hashes rising. The digest is the low half of what DigestOf sums.
func (m *Machine) AppendVersions(bucket int, dst []byte) []byte {
	for _, v := range m.versions(bucket) {
		dst = binary.BigEndian.AppendUint64(dst, v.hash)
		dst = binary.BigEndian.AppendUint32(dst, v.digest)
	}
	return dst
}

// CompareVersions compares a bucket with what AppendVersions of another copy named. It
// appends the hashes under which that one has something else to want, and answers those
// under which it has nothing.
func (m *Machine) CompareVersions(bucket int, versions []byte, want *[]uint64) (extra []uint64) {
	own := m.versions(bucket)
	for ; len(versions) >= VersionSize; versions = versions[VersionSize:] {
		h := binary.BigEndian.Uint64(versions)
		i, ok := slices.BinarySearchFunc(own, h, func(v versionName, h uint64) int { return cmp.Compare(v.hash, h) })
		if ok {
			own[i].named = true
		}
		if !ok || own[i].digest != binary.BigEndian.Uint32(versions[8:]) {
			*want = append(*want, h)
		}
	}
	for _, v := range own {
		if !v.named {
			extra = append(extra, v.hash)
		}
	}
	return extra
}

// versionName is what stands under one hash.
type versionName struct {
	hash   uint64
	digest uint32
	named  bool // the other copy has something there
}

// versions are those of a bucket, hashes rising.
func (m *Machine) versions(bucket int) (list []versionName) {
	lo, hi := bucketRange(bucket)
	m.store.Range(lo, hi, func(e lru.Entry) bool {
		if !dead(e.Deadline, m.time) {
			list = append(list, versionName{hash: e.Hash, digest: uint32(digestEntry(e.Hash, e.Version, e.Deadline))})
		}
		return true
	})
	slices.SortFunc(list, func(a, b versionName) int { return cmp.Compare(a.hash, b.hash) })
	n := 0
	for _, v := range list { // keys of one hash are sent and replaced together
		if n > 0 && list[n-1].hash == v.hash {
			list[n-1].digest ^= v.digest
			continue
		}
		list[n] = v
		n++
	}
	return list[:n]
}

package membership

// Quotas are counted in thousandths of a copy, in integers: every node must come to the
// same numbers, and processors round broken ones differently.
const milli = 1000

// part is one of those that a total is divided among.
type part struct {
	weight      int64
	least, most int64 // milli
}

// divide gives each part its share of a total by weight, within its bounds. What a
// bound takes away or adds is made up by the others. A total that the bounds do not
// allow is come as near to as they do.
func divide(total int64, parts []part) []int64 {
	shares := make([]int64, len(parts))
	fixed := make([]bool, len(parts))
	for range len(parts) + 1 {
		rest, weight := total, int64(0)
		for i, p := range parts {
			if fixed[i] {
				rest -= shares[i]
			} else {
				weight += p.weight
			}
		}
		low, high := int64(0), int64(0)
		for i, p := range parts {
			if !fixed[i] {
				shares[i] = max(rest, 0) / weight * p.weight
				shares[i] += max(rest, 0) % weight * p.weight / weight
				low += max(p.least-shares[i], 0)
				high += max(shares[i]-p.most, 0)
			}
		}
		if low == 0 && high == 0 {
			break
		}
		for i, p := range parts { // those whose bounds weigh more are right in any case
			switch {
			case fixed[i]:
			case high >= low && shares[i] >= p.most:
				shares[i], fixed[i] = p.most, true
			case high < low && shares[i] <= p.least:
				shares[i], fixed[i] = p.least, true
			}
		}
	}
	return shares
}

// scaled makes weights of any size ones whose products with a total fit.
func scaled(weights []int64) []int64 {
	most := int64(0)
	for _, w := range weights {
		most = max(most, w)
	}
	shift := 0
	for most>>shift >= 1<<20 {
		shift++
	}
	out := make([]int64, len(weights))
	for i, w := range weights {
		out[i] = max(w>>shift, 1)
	}
	return out
}

// span is what a node should have, in whole copies.
type span struct{ least, most int }

// around is the whole numbers around a quota.
func around(quota int64) span {
	return span{int(quota / milli), int((quota + milli - 1) / milli)}
}

package lru

// sketch estimates how often a hash was asked for lately, with 4 bytes for each entry
// (a count-min sketch): a line has four rows of 32 counters of 4 bits, and a hash has
// one counter in each row of its line. The lowest of them is the estimate, and the only
// one that is counted up.
//
// One line after another is halved, so that each is once in ten requests for each
// entry. To halve all at once, as it is usually told, would be a pause.
type sketch struct {
	lineTable
	asked int // since a line was halved
	hand  int // the line that is halved next
}

const (
	entriesPerSketch = 16 // that share a line
	askedPerSketch   = 10 * entriesPerSketch
	sketchRows       = 4
	sketchMax        = 15
)

// counter is where a row of a hash's line counts it: a word of the line, and a shift.
func counter(hash uint64, row int) (word int, shift uint) {
	i := hash >> (32 + 5*row) & 31
	return 2*row + int(i>>4), uint(i & 15 * 4)
}

// estimate is how often a hash was asked for, about.
func (k *sketch) estimate(hash uint64) uint64 {
	if k.lines == 0 {
		return 0
	}
	l, least := k.at(k.place(hash)), uint64(sketchMax)
	for row := range sketchRows {
		word, shift := counter(hash, row)
		least = min(least, l[word]>>shift&sketchMax)
	}
	return least
}

// count counts a request for a hash.
func (k *sketch) count(hash uint64) {
	if k.lines == 0 {
		return
	}
	l, least := k.at(k.place(hash)), k.estimate(hash)
	for row := range sketchRows {
		if word, shift := counter(hash, row); least < sketchMax && l[word]>>shift&sketchMax == least {
			l[word] += 1 << shift
		}
	}
	if k.asked++; k.asked >= askedPerSketch {
		k.asked = 0
		k.halve()
	}
}

// halve halves the counters of the next line.
func (k *sketch) halve() {
	k.hand = (k.hand + 1) % k.lines
	l := k.at(k.hand)
	for i := range l {
		l[i] = l[i] >> 1 & 0x7777777777777777
	}
}

// resize brings the number of lines nearer to what so many entries want.
func (k *sketch) resize(entries, pieceBytes int, p *Pool) {
	want := entries/entriesPerSketch + 1
	switch {
	case k.lines == 0:
		k.start(pieceBytes, p)
	case k.lines < want:
		k.push(p)
	case k.lines > want+want/4+1:
		k.pop(p)
	}
}

// clear forgets everything and gives it back.
func (k *sketch) clear(p *Pool) {
	k.drop(p)
	*k = sketch{}
}

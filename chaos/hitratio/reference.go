package main

import "container/heap"

// What is computed here and not run: caches of equal objects that pay for nothing
// but the objects.

// lruHits counts the hits of an exact LRU.
func lruHits(t *Trace, capacity int, step func(int)) (hits int) {
	next, prev := make([]int32, t.Objects+1), make([]int32, t.Objects+1) // a ring with the end object as its root
	root, in := int32(t.Objects), make([]bool, t.Objects)
	next[root], prev[root] = root, root
	unlink := func(o int32) { next[prev[o]], prev[next[o]] = next[o], prev[o] }
	size := 0
	for i, a := range t.Asked {
		o := int32(a)
		if in[o] {
			hits++
			unlink(o)
		} else if size++; size > capacity {
			last := prev[root]
			unlink(last)
			in[last] = false
			size--
		}
		in[o] = true
		next[o], prev[o] = next[root], root
		prev[next[root]], next[root] = o, o
		step(i)
	}
	return hits
}

// visit is when an object is asked for again.
type visit struct {
	at     int32
	object uint32
}

// farthest is a heap with the latest visit on top.
type farthest []visit

func (h farthest) Len() int           { return len(h) }
func (h farthest) Less(i, j int) bool { return h[i].at > h[j].at }
func (h farthest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *farthest) Push(x any)        { *h = append(*h, x.(visit)) }
func (h *farthest) Pop() any          { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// optHits counts the hits of a cache that knows the future: what is asked for latest
// leaves, and what would leave at once is not taken in.
func optHits(t *Trace, capacity int, step func(int)) (hits int) {
	const never = 1<<31 - 1
	again := make([]int32, len(t.Asked))
	last := make([]int32, t.Objects)
	for i := range last {
		last[i] = never
	}
	for i := len(t.Asked) - 1; i >= 0; i-- {
		again[i], last[t.Asked[i]] = last[t.Asked[i]], int32(i)
	}
	due := last // when an object that is held is asked for again; 0 = not held
	clear(due)
	h, size := farthest{}, 0
	for i, o := range t.Asked {
		if due[o] != 0 {
			hits++
			size--
		}
		if due[o] = 0; again[i] != never {
			due[o] = again[i]
			heap.Push(&h, visit{again[i], o})
			size++
		}
		for size > capacity {
			if v := heap.Pop(&h).(visit); due[v.object] == v.at {
				due[v.object] = 0
				size--
			}
		}
		step(i)
	}
	return hits
}

// fifo is a queue of objects.
type fifo struct {
	objects []uint32
	from    int
}

func (q *fifo) len() int      { return len(q.objects) - q.from }
func (q *fifo) push(o uint32) { q.objects = append(q.objects, o) }
func (q *fifo) pop() uint32 {
	o := q.objects[q.from]
	if q.from++; q.from > 1<<16 && q.from > len(q.objects)/2 {
		q.objects, q.from = append(q.objects[:0], q.objects[q.from:]...), 0
	}
	return o
}

// s3FIFO is the policy of the paper of that name: a tenth of the objects in a
// first queue, counters up to 3, a memory of those that left.
type s3FIFO struct {
	small, main fifo
	in          []uint8 // 0 = not there, 1 = small, 2 = main
	hits        []uint8
	ghost       []int32 // the turn in which it was remembered; 0 = it is not
	turn        int32
	capacity    int
}

// s3Hits counts the hits of S3-FIFO, for traces of which no figures are published.
func s3Hits(t *Trace, capacity int, step func(int)) (hits int) {
	s := &s3FIFO{in: make([]uint8, t.Objects), hits: make([]uint8, t.Objects), ghost: make([]int32, t.Objects), capacity: capacity}
	for i, o := range t.Asked {
		if s.in[o] != 0 {
			hits++
			s.hits[o] = min(3, s.hits[o]+1)
		} else {
			s.insert(o)
		}
		step(i)
	}
	return hits
}

func (s *s3FIFO) insert(o uint32) {
	s.hits[o] = 0
	if g := s.ghost[o]; g != 0 && int(s.turn-g) < s.capacity*9/10 {
		s.ghost[o] = 0
		s.in[o] = 2
		s.main.push(o)
	} else {
		s.in[o] = 1
		s.small.push(o)
	}
	for s.small.len()+s.main.len() > s.capacity {
		s.evict()
	}
}

func (s *s3FIFO) evict() {
	if s.small.len() > 0 && s.main.len() <= s.capacity*9/10 {
		o := s.small.pop()
		if s.hits[o] >= 2 {
			s.hits[o], s.in[o] = 0, 2
			s.main.push(o)
			return
		}
		s.in[o] = 0
		s.turn++
		s.ghost[o] = s.turn
		return
	}
	o := s.main.pop()
	if s.hits[o] > 0 {
		s.hits[o]--
		s.main.push(o)
		return
	}
	s.in[o] = 0
}

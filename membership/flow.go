package membership

// flow moves things between nodes until each has what it should, with as few moves as
// it finds: along a path of one move if there is one, else of several.
type flow struct {
	load []int
	want []span
	// step is the group that is best moved from one node to another, 0 for none.
	step func(from, to int) int
	move func(group, from, to int)
}

// run moves until every node is within its span, as far as paths exist. Each move
// brings a node nearer to its span, so the bound is never met; it is there because a
// plan that does not end would be worse than an uneven one.
func (f *flow) run() {
	bound := len(f.load)
	for _, l := range f.load {
		bound += l
	}
	stuck := make([]bool, len(f.load))
	for range 4 * bound {
		n := f.worst(stuck)
		if n < 0 {
			return
		}
		if f.load[n] > f.want[n].most && !f.relieve(n) || f.load[n] < f.want[n].least && !f.feed(n) {
			stuck[n] = true
		}
	}
}

// worst is the node furthest outside its span, -1 when there is none.
func (f *flow) worst(stuck []bool) int {
	at, by := -1, 0
	for n, w := range f.want {
		if off := max(f.load[n]-w.most, w.least-f.load[n]); off > by && !stuck[n] {
			at, by = n, off
		}
	}
	return at
}

// relieve takes one thing from a node to one that has room.
func (f *flow) relieve(from int) bool {
	room := func(n int) int { return f.want[n].most - f.load[n] }
	if to := f.best(room, func(n int) bool { return n != from && f.step(from, n) != 0 }); to >= 0 {
		return f.take([]int{from, to})
	}
	return f.take(f.path(from, func(n int) bool { return room(n) > 0 }))
}

// feed brings one thing to a node from one that can spare it.
func (f *flow) feed(to int) bool {
	spare := func(n int) int { return f.load[n] - f.want[n].least }
	if from := f.best(spare, func(n int) bool { return n != to && f.step(n, to) != 0 }); from >= 0 {
		return f.take([]int{from, to})
	}
	for n := range f.load {
		if n != to && spare(n) > 0 && f.take(f.path(n, func(m int) bool { return m == to })) {
			return true
		}
	}
	return false
}

// best is the able node of the highest worth above 0, -1 when there is none.
func (f *flow) best(worth func(int) int, able func(int) bool) int {
	at, most := -1, 0
	for n := range f.load {
		if w := worth(n); w > most && able(n) {
			at, most = n, w
		}
	}
	return at
}

// path is the shortest way from a node to one that accepts, nil when there is none.
func (f *flow) path(from int, accepts func(int) bool) []int {
	before := make([]int, len(f.load))
	for i := range before {
		before[i] = -1
	}
	before[from] = from
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		u := queue[0]
		for v := range f.load {
			if before[v] >= 0 || f.step(u, v) == 0 {
				continue
			}
			before[v] = u
			if accepts(v) {
				return back(before, v)
			}
			queue = append(queue, v)
		}
	}
	return nil
}

// back reads a path off the steps that led to its end.
func back(before []int, end int) []int {
	path := []int{end}
	for n := end; before[n] != n; n = before[n] {
		path = append([]int{before[n]}, path...)
	}
	return path
}

// take makes the moves of a path, from its end: each makes sense by itself then.
func (f *flow) take(path []int) bool {
	for i := len(path) - 1; i > 0; i-- {
		g := f.step(path[i-1], path[i])
		if g == 0 {
			return i < len(path)-1
		}
		f.move(g, path[i-1], path[i])
		f.load[path[i-1]]--
		f.load[path[i]]++
	}
	return len(path) > 1
}

package multiraft

// Heir is what a parent process knows of its worker: which incarnation runs, and which
// one it has buried. It says that an incarnation is over on nothing but its caller's
// proof, the wait for its own child that returned (D2), and of no other one than that
// child was (D1, D4): the next worker may run, and lead, while the last word of the one
// before is still being said.
type Heir struct{ living, dead Member }

// Tell takes what a worker says about itself before its first packet.
func (h *Heir) Tell(m Member) { h.living = m }

// Bury takes note that the worker is dead for certain; false when it never said who it
// was. Such a worker has sent nothing and holds nothing.
func (h *Heir) Bury() bool {
	h.dead, h.living = h.living, Member{}
	return h.dead != Member{}
}

// Dead is the incarnation that was buried last.
func (h *Heir) Dead() Member { return h.dead }

// LastWord is what the peers are told, as often as it takes: late or repeated, it
// touches nothing that belongs to another incarnation.
func (h *Heir) LastWord() []byte {
	if seeded("heirnewest") && h.living != (Member{}) {
		return NodeReleasePacket(h.living)
	}
	return NodeReleasePacket(h.dead)
}

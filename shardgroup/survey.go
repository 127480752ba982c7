package shardgroup

// Survey is how much of a group a copy has, for operators who are to go on with it.
type Survey struct {
	Whole   int    `json:"whole"`   // shards whose copy has everything up to its position
	Keys    int    `json:"keys"`    // in all shards
	Missing uint64 `json:"missing"` // writes that this copy has heard of and lacks, at least
}

// Survey describes this copy.
func (r *Replica) Survey() (v Survey) {
	for _, s := range r.shards {
		s.mu.Lock()
		if s.whole {
			v.Whole++
		}
		v.Keys += s.m.Len()
		switch at, head := s.m.Position(), s.headSeen; {
		case head <= at:
		case head.Epoch() == at.Epoch():
			v.Missing += head.Seq() - at.Seq()
		default:
			v.Missing += head.Seq()
		}
		s.mu.Unlock()
	}
	return v
}

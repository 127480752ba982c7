package meta

// Halt says whether copies stay where they are for load's sake. It applies only to the
// version of the halt that it was decided on.
type Halt struct {
	From uint64 `json:"from"`
	On   bool   `json:"on"`
}

// halt takes operators' word that rebalancing is to rest, or to go on.
func (s *State) halt(h Halt) bool {
	if h.From != s.HaltVersion || h.On == s.Halted {
		return false
	}
	s.Halted = h.On
	s.HaltVersion++
	return true
}

package statemachine

import "testing"

// TestWhatIsLeftOut: the contents fit afterwards, the rest is what it was, and the digest says
// what is missing.
func TestWhatIsLeftOut(t *testing.T) {
	d := full(t, 1<<20)
	digest, keys, position := d.m.Digest(), d.m.Len(), d.m.Position()
	n, missing := d.m.LeaveOut(300 << 10)
	if held := d.m.HeldBytes(); held > 300<<10 || held < 200<<10 {
		t.Errorf("%d bytes are held", held)
	}
	if n == 0 || d.m.Len() != keys-n || d.m.Digest()^missing != digest || missing == 0 {
		t.Errorf("%d of %d entries left; digest %x, missing %x, it was %x", n, keys, d.m.Digest(), missing, digest)
	}
	if d.m.Position() != position || d.m.BudgetBytes() != 1<<20 || d.m.LimitBytes() != 1<<20 {
		t.Errorf("position %v, budget %d, limit %d", d.m.Position(), d.m.BudgetBytes(), d.m.LimitBytes())
	}
	if n, missing := d.m.LeaveOut(1 << 20); n != 0 || missing != 0 {
		t.Errorf("%d entries left what has room for all", n)
	}
}

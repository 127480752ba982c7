package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

var policy = DefaultConfig(nil).Retry

func yes() bool { return true }
func no() bool  { return false }

func TestWhatIsSentAgain(t *testing.T) {
	broken := &brokenError{errors.New("reset")}
	unsent := &unsentError{errors.New("refused")}
	server := func(text string) error {
		code, _, _ := bytes.Cut([]byte(text), []byte(" "))
		return &ServerError{string(code), text}
	}
	for _, c := range []struct {
		err        error
		get, write error // nil: sent again
	}{
		{broken, nil, ErrAmbiguous},
		{unsent, nil, nil},
		{server("MOVED 1 a:1"), nil, nil},
		{server("ASK 1 a:1"), nil, nil},
		{server("CLUSTERDOWN x"), nil, nil},
		{server("NOREPLICAS x"), nil, nil},
		{server("LOADING x"), nil, nil},
		{server("MASTERDOWN x"), nil, nil},
		{server("TRYAGAIN x"), nil, nil},
		{server("READONLY x"), nil, nil},
		{server("MOVED nonsense"), ErrUnavailable, ErrUnavailable}, // any error: not sent again
		{server("ERR x"), ErrUnavailable, ErrUnavailable},
		{server("OOM x"), ErrUnavailable, ErrUnavailable},
		{server("UNBLOCKED x"), ErrUnavailable, ErrUnavailable},
		{&unsentError{server("WRONGPASS x")}, ErrUnavailable, ErrUnavailable},
		{&unsentError{server("ERR max number of clients reached")}, nil, nil},
		{&unsentError{ErrClosed}, ErrClosed, ErrClosed},
		{&brokenError{ErrClosed}, nil, ErrAmbiguous},
	} {
		for op, want := range map[opKind]error{opGet: c.get, opSet: c.write, opDel: c.write} {
			s := policy.next(&callState{op: op}, c.err, "n:1", time.Second, 0.5, yes)
			if (s.err == nil) != (want == nil) {
				t.Errorf("%v after %v: %+v", op, c.err, s)
			}
			if want == ErrAmbiguous != errors.Is(s.err, ErrAmbiguous) {
				t.Errorf("%v after %v: %v", op, c.err, s.err)
			}
		}
	}
}

func TestRedirectsAreFreeThreeTimes(t *testing.T) {
	st := callState{op: opSet}
	moved := &ServerError{"MOVED", "MOVED 5 b:1"}
	for i := range freeRedirects + 1 {
		s := policy.next(&st, moved, "a:1", time.Second, 0.5, yes)
		if s.addr != "b:1" || s.slot != 5 || !s.moved || s.err != nil || (s.pause > 0) != (i == freeRedirects) {
			t.Fatalf("redirect %d: %+v", i, s)
		}
	}
	s := policy.next(&st, &ServerError{"ASK", "ASK 5 c:1"}, "a:1", time.Second, 0.5, yes)
	if !s.ask || s.moved || s.addr != "c:1" {
		t.Fatalf("%+v", s)
	}
}

func TestPausesGrowAndEndBeforeTheDeadline(t *testing.T) {
	st := callState{op: opGet}
	down := &ServerError{"CLUSTERDOWN", "CLUSTERDOWN x"}
	last := time.Duration(-1)
	for i := range 64 {
		s := policy.next(&st, down, "a:1", time.Hour, 0.999, yes)
		if short := s.pause <= policy.Base; short != (i <= shortPauses) {
			t.Fatalf("pause %d is %v: %d short ones come before they grow", i, s.pause, shortPauses+1)
		}
		if s.pause < last || s.pause > policy.Cap {
			t.Fatalf("pause %v after %v", s.pause, last)
		}
		last = s.pause
	}
	if last < policy.Cap*9/10 {
		t.Fatalf("pauses end at %v", last)
	}
	if s := policy.next(&st, down, "a:1", 10*time.Millisecond, 0.999, yes); s.pause > 5*time.Millisecond || s.err != nil {
		t.Fatalf("%+v: one attempt must fit before the deadline", s)
	}
	if s := policy.next(&st, down, "a:1", time.Millisecond, 0.5, yes); !errors.Is(s.err, ErrUnavailable) {
		t.Fatalf("%+v", s)
	}
	fresh := callState{op: opGet}
	if s := policy.next(&fresh, down, "a:1", time.Hour, 0, no); s.pause != policy.Cap/2 || s.err != nil {
		t.Fatalf("an empty budget must make the pause long, not fail: %+v", s)
	}
}

func TestANewClientMayRetryAtOnce(t *testing.T) {
	c, err := New(DefaultConfig([]string{"127.0.0.1:1"}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range budgetBurst {
		if !c.takeRetry() {
			t.Fatalf("its budget ends after %d retries", n)
		}
	}
}

func TestBudgetIsTenPercentAndTenPerSecond(t *testing.T) {
	var b budget
	took := func(calls uint64, now time.Duration) (n int) {
		for b.take(policy, calls, now) {
			n++
		}
		return n
	}
	if n := took(0, time.Second); n != 10 {
		t.Errorf("a second earned %d", n)
	}
	if n := took(400, time.Second); n != 40 {
		t.Errorf("400 calls earned %d", n)
	}
	if n := took(1_000_000, time.Hour); n != budgetBurst {
		t.Errorf("the bucket held %d", n)
	}
}

func TestCallerThatGivesUp(t *testing.T) {
	broken := &brokenError{context.DeadlineExceeded}
	for _, c := range []struct {
		op              opKind
		err, cause      error
		ambiguous, away bool
	}{
		{opSet, broken, context.DeadlineExceeded, true, false},
		{opDel, broken, context.Canceled, true, false},
		{opGet, broken, context.DeadlineExceeded, false, true},
		{opGet, broken, context.Canceled, false, false},
		{opSet, &unsentError{errors.New("x")}, context.DeadlineExceeded, false, true},
		{opSet, nil, errTimeout, false, true},
		{opSet, nil, context.Canceled, false, false},
	} {
		err := (&callState{op: c.op}).expired(c.err, c.cause)
		if errors.Is(err, ErrAmbiguous) != c.ambiguous || errors.Is(err, ErrUnavailable) != c.away || !errors.Is(err, c.cause) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

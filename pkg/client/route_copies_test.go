package client

import (
	"testing"
	"time"
)

func TestTheCopyThatAnswersSoonestIsAsked(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what       string
		less, more time.Duration
	}{
		{"near before far", burden(ms, 0, 0), burden(2*ms, 0, 0)},
		{"idle before busy", burden(ms, 0, 0), burden(ms, 0, 1)},
		{"far and idle before near and busy", burden(2*ms, 0, 0), burden(ms, 0, 2)},
		{"what was slow long ago is tried again", burden(time.Second, 20*time.Second, 0), burden(ms, 0, 0)},
		{"what stood still once is tried again soon", burden(smoothed(ms/5, followerPatience), 2*time.Second, 0), burden(ms/5, 0, 0)},
		{"unknown before known", burden(0, 0, 0), burden(ms, 0, 0)},
		{"and does not take all", burden(ms, 0, 0), burden(0, 0, 100)},
	} {
		if c.less >= c.more {
			t.Errorf("%s: %v, %v", c.what, c.less, c.more)
		}
	}
	if b := burden(time.Hour, 1000*time.Hour, 0); b != leastTook {
		t.Error(b)
	}
	took := smoothed(0, ms)
	for range 100 {
		took = smoothed(took, 3*ms)
	}
	if took < 5*ms/2 || took > 3*ms {
		t.Errorf("%v after many of 3 ms", took)
	}
}

func TestWhoRefusesIsPassedOver(t *testing.T) {
	if shunFor(1) != time.Second || shunFor(3) != 4*time.Second || shunFor(255) != 64*time.Second {
		t.Error(shunFor(1), shunFor(3), shunFor(255))
	}
}

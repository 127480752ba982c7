package axis

import (
	"math"
	"testing"
)

func TestScales(t *testing.T) {
	for _, c := range []struct {
		name     string
		axis     Axis
		at, want float64
	}{
		{"linear", Axis{Low: 10, High: 20, From: 100, To: 200, Scale: Linear}, 15, 150},
		{"upwards", Axis{Low: 0, High: 4, From: 100, To: 0, Scale: Linear}, 1, 75},
		{"logarithm", Axis{Low: 1, High: 1000, From: 0, To: 300, Scale: Logarithm}, 100, 200},
		{"below one", Axis{Low: 1, High: 1000, From: 0, To: 300, Scale: Logarithm}, 0, 0},
		{"nines", Axis{Low: 0, High: 99.99, From: 0, To: 400, Scale: Nines}, 99, 200},
		{"no width", Axis{Low: 3, High: 3, From: 7, To: 9, Scale: Linear}, 3, 7},
	} {
		if got := c.axis.At(c.at); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %v lies at %v, want %v", c.name, c.at, got, c.want)
		}
	}
}

func TestStepsAndLabels(t *testing.T) {
	for v, want := range map[float64]float64{0.9: 1, 1: 1, 1.1: 2, 3: 5, 6: 10, 70: 100, 200: 200} {
		if got := Step(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("the step for %v is %v, want %v", v, got, want)
		}
	}
	if from, to := Decades(70, 3_000_000); from != 10 || to != 10_000_000 {
		t.Errorf("decades %v to %v", from, to)
	}
	if from, to := Decades(math.Inf(1), 1); from != 1 || to != 10 {
		t.Errorf("decades of nothing: %v to %v", from, to)
	}
	for us, want := range map[float64]string{5: "5 µs", 1000: "1 ms", 2.5e6: "2.5 s"} {
		if got := Microseconds(us); got != want {
			t.Errorf("%v is %q, want %q", us, got, want)
		}
	}
}

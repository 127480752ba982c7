package chaos

import (
	"strings"
	"testing"
)

func TestEDN(t *testing.T) {
	r := Recorded{Told: []Told{
		{Client: 0, Key: "k", Kind: Set, Arg: []byte("a\x00\""), Start: 10, End: 30, Outcome: Unknown, Word: "timeout"},
		{Client: 1, Key: "k", Kind: Read, Start: 20, End: 40, Found: true, Value: []byte("a")},
		{Client: 0, Key: "k", Kind: Read, Start: 30, End: 50},
		{Client: 1, Key: "n", Kind: Incr, Start: 40, End: 40, Int: 7},
		{Client: 1, Key: "k", Kind: Del, Start: 60, End: 70, Outcome: Refused, Word: "CLUSTERDOWN"},
	}}
	var b strings.Builder
	if err := r.WriteEDN(&b); err != nil {
		t.Fatal(err)
	}
	want := `{:index 0, :type :invoke, :f :write, :value ["k" "a\u0000\""], :process 0, :time 10}
{:index 1, :type :invoke, :f :read, :value ["k" nil], :process 1, :time 20}
{:index 2, :type :info, :f :write, :value ["k" "a\u0000\""], :process 0, :time 30, :error "timeout"}
{:index 3, :type :invoke, :f :read, :value ["k" nil], :process 2, :time 30}
{:index 4, :type :ok, :f :read, :value ["k" "a"], :process 1, :time 40}
{:index 5, :type :invoke, :f :incr, :value ["n" nil], :process 1, :time 40}
{:index 6, :type :ok, :f :incr, :value ["n" 7], :process 1, :time 40}
{:index 7, :type :ok, :f :read, :value ["k" nil], :process 2, :time 50}
{:index 8, :type :invoke, :f :del, :value ["k" nil], :process 1, :time 60}
{:index 9, :type :fail, :f :del, :value ["k" nil], :process 1, :time 70, :error "CLUSTERDOWN"}
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

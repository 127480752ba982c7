package node

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestAFoundingRecordIsTakenOnce: a founder whose answer was lost is told again, when it
// may run already. The record must not change under a node that is being built.
func TestAFoundingRecordIsTakenOnce(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	n.ready()
	had := n.founded
	again := had
	again.Settings.VirtualNodes++
	b, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if why := n.takeFounding(b); why != "" {
		t.Error("said again:", why)
	}
	if !reflect.DeepEqual(had, n.founded) {
		t.Error("the record was taken again")
	}
	again.Cluster[0]++
	if b, err = json.Marshal(again); err != nil {
		t.Fatal(err)
	}
	if why := n.takeFounding(b); why != "this node has a cluster already" {
		t.Errorf("of another cluster: %q", why)
	}
}

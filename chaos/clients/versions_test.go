package clients

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// TestVersionsOnThreeNodes compares and sets by version over the wire: no change of many
// callers on few keys is lost, and what does not fit is refused with the current version.
func TestVersionsOnThreeNodes(t *testing.T) {
	t.Parallel()
	c := newClient(t, addresses(launch(t, 3, fmt.Sprint(rigMemory))))
	ctx := t.Context()
	numbers := client.Typed(c, client.Text())
	const callers, changes, keys = 8, 30, 3
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range changes {
				_, err := numbers.Update(ctx, fmt.Sprint("n", i%keys), func(old string, _ bool) (string, error) {
					n, _ := strconv.Atoi(old)
					return strconv.Itoa(n + 1), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range keys {
		item, err := c.GetItem(ctx, fmt.Sprint("n", i))
		if string(item.Value) != fmt.Sprint(callers*changes/keys) || item.Version == 0 || err != nil {
			t.Errorf("%+v %v", item, err)
		}
		var other *client.VersionError
		if err := c.DeleteIf(ctx, item.Key, item.Version-1); !errors.As(err, &other) || other.Current != item.Version {
			t.Error(err)
		}
		if err := c.DeleteIf(ctx, item.Key, item.Version); err != nil {
			t.Error(err)
		}
	}
	if s := c.Stats(); s.Epoch == 0 || len(s.Nodes) != 3 {
		t.Errorf("%+v", s)
	}
}

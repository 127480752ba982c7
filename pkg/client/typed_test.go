package client

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

type pet struct {
	Name string
	Legs int
}

func exerciseTyped(t *testing.T, c *Client, versions bool) {
	for name, codec := range map[string]Codec[pet]{"json": JSON[pet](), "gob": Gob[pet]()} {
		pets := Typed(c, codec)
		must(t, pets.Set(ctx, "pet:1", pet{"Rex", 4}, TTL(time.Minute)))
		if p, err := pets.Get(ctx, "pet:1"); p != (pet{"Rex", 4}) || err != nil {
			t.Errorf("%s: %v %v", name, p, err)
		}
		if p, err := pets.Get(ctx, "pet:none"); p != (pet{}) || err != ErrNotFound {
			t.Errorf("%s: %v %v", name, p, err)
		}
		if all, err := pets.MGet(ctx, "pet:1", "pet:none"); !reflect.DeepEqual(all, map[string]pet{"pet:1": {"Rex", 4}}) || err != nil {
			t.Errorf("%s: %v %v", name, all, err)
		}
		must(t, c.Set(ctx, "pet:2", []byte("\x01no pet")))
		var bad *CodecError
		if _, err := pets.Get(ctx, "pet:2"); !errors.As(err, &bad) || bad.Key != "pet:2" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := pets.MGet(ctx, "pet:1", "pet:2"); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bad *CodecError
	if err := Typed(c, JSON[func()]()).Set(ctx, "pet:3", nil); !errors.As(err, &bad) {
		t.Error("a function was stored:", err)
	}
	words := Typed(c, Text())
	must(t, words.Set(ctx, "word", "häuser"))
	if v, err := words.Get(ctx, "word"); v != "häuser" || err != nil {
		t.Error(v, err)
	}
	if b, err := Typed(c, Bytes()).Get(ctx, "word"); string(b) != "häuser" || err != nil {
		t.Error(b, err)
	}
	if _, err := words.Update(ctx, "word", func(string, bool) (string, error) { return "", nil }); !versions && !errors.Is(err, ErrUnsupported) {
		t.Error("an update without versions:", err)
	}
}

// Update loses no change when others come between.
func TestUpdateAgainWhenAnotherCameBetween(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	version, value := Version(0), ""
	meddle := 2
	w.nodes[0].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "GET":
			if version == 0 {
				p.say(attributed(1, 0, "_\r\n"))
			} else {
				p.say(attributed(1, version, fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)))
			}
			if meddle > 0 {
				meddle--
				version, value = version+10, value+"m"
			}
		case "SET":
			if args[3] != "IFVER" || args[4] != fmt.Sprint(uint64(version)) {
				p.say([]byte(fmt.Sprintf("-VERSION %d\r\n", version)))
				break
			}
			version, value = version+1, args[2]
			p.say(attributed(1, version, fmt.Sprintf(":%d\r\n", version)))
		default:
			return false
		}
		return true
	})
	calls := 0
	v, err := Typed(c, Text()).Update(ctx, "k", func(old string, found bool) (string, error) {
		calls++
		if found != (old != "") {
			t.Errorf("%q is found: %v", old, found)
		}
		return old + "u", nil
	})
	if v != "mmu" || value != "mmu" || calls != 3 || err != nil {
		t.Errorf("%q, stored %q, after %d calls: %v", v, value, calls, err)
	}
	stop := errors.New("stop")
	if _, err := Typed(c, Text()).Update(ctx, "k", func(string, bool) (string, error) { return "x", stop }); err != stop || value != "mmu" {
		t.Error("the caller's error:", err, value)
	}
	if i, err := c.SetX(ctx, "k", nil, IfVersion(version)); i.Version != version || err != nil {
		t.Error("the new version:", i, err)
	}
	var ve *VersionError
	if err := c.DeleteIf(ctx, "k", 1); err == nil || errors.As(err, &ve) {
		t.Error("DELIFVER is not in this script:", err)
	}
}

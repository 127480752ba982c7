package suite

import (
	"context"
	"errors"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/client"
)

// clientHand is the Go client that users have.
type clientHand struct{ c *client.Client }

func newClientHand(addrs []string, level string) (*clientHand, error) {
	cfg := client.DefaultConfig(addrs)
	cfg.Durability = level
	c, err := client.New(cfg)
	return &clientHand{c}, err
}

func (h *clientHand) close() { h.c.Close() }

func (h *clientHand) do(o *chaos.Told) {
	ctx, cancel := context.WithTimeout(context.Background(), tryMax)
	defer cancel()
	var item client.Item
	var err error
	switch o.Kind {
	case chaos.Read:
		item, err = h.c.GetItem(ctx, o.Key)
		if errors.Is(err, client.ErrNotFound) {
			err = nil
		} else if err == nil {
			o.Found, o.Value = true, item.Value
		}
	case chaos.Set:
		var options []client.SetOption
		if o.Deadline != 0 {
			options = append(options, client.ExpireAt(time.UnixMilli(o.Deadline)))
		}
		if o.If {
			options = append(options, client.IfVersion(o.IfIs))
		}
		item, err = h.c.SetX(ctx, o.Key, o.Arg, options...)
	}
	o.Version, o.Node = item.Version, item.Node
	if o.Kind == chaos.Read && !o.Found {
		o.Version = 0
	}
	o.Outcome, o.Word = outcomeOf(err)
}

// outcomeOf is what an error of the client says.
func outcomeOf(err error) (chaos.Outcome, string) {
	var op *client.OpError
	switch {
	case err == nil:
		return chaos.OK, ""
	case errors.Is(err, client.ErrAmbiguous):
		return chaos.Unknown, "ambiguous"
	case errors.Is(err, client.ErrVersionMismatch):
		return chaos.Refused, "VERSION"
	case errors.As(err, &op):
		var s *client.ServerError
		if errors.As(err, &s) {
			return chaos.Refused, s.Code
		}
		if errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrTimeout) {
			return chaos.Refused, "unavailable"
		}
	}
	return chaos.Refused, err.Error()
}

// many reads one after the other: the client has no MGET that tells versions.
func (h *clientHand) many(os []*chaos.Told) {
	for _, o := range os {
		h.do(o)
	}
}

package clienttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// greeting is code under test: it remembers a greeting for a minute.
func greeting(ctx context.Context, c *client.Client, name string) (string, error) {
	if v, err := c.Get(ctx, "greeting:"+name); err == nil {
		return string(v) + " (remembered)", nil
	} else if !errors.Is(err, client.ErrNotFound) {
		return "", err
	}
	g := "Hello, " + name
	return g, c.SetWithTTL(ctx, "greeting:"+name, []byte(g), time.Minute.Milliseconds())
}

// In a test, clienttest.New(t) and srv.Client() close by themselves.
func Example() {
	srv := clienttest.Start()
	defer srv.Close()
	c, err := client.New(srv.Config())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx := context.Background()

	for range 2 {
		fmt.Println(greeting(ctx, c, "Ada"))
	}
	srv.Advance(time.Minute)
	fmt.Println(greeting(ctx, c, "Ada"))

	srv.Advance(time.Minute)
	srv.Fail("greeting:Ada", 1, clienttest.Ambiguous)
	_, err = greeting(ctx, c, "Ada")
	fmt.Println(errors.Is(err, client.ErrAmbiguous))
	// Output:
	// Hello, Ada <nil>
	// Hello, Ada (remembered) <nil>
	// Hello, Ada <nil>
	// true
}

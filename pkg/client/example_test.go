package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// The whole published API.
func Example() {
	c, err := client.New(client.DefaultConfig([]string{"localhost:7000"}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	c.Set(ctx, "key", []byte("value"))
	c.SetWithTTL(ctx, "session", []byte("data"), 5000) // milliseconds
	value, err := c.Get(ctx, "key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(value))
	c.Delete(ctx, "key")
}

// A miss, a write of unknown outcome and an outage are three different things.
func ExampleClient_Set_errors() {
	c, err := client.New(client.DefaultConfig([]string{"localhost:7000", "localhost:7010"}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	switch err := c.Set(ctx, "balance:7", []byte("100")); {
	case err == nil:
	case errors.Is(err, client.ErrAmbiguous):
		fmt.Println("read it back before deciding")
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("nothing was written:", err)
	}
	if _, err := c.Get(ctx, "balance:7"); errors.Is(err, client.ErrNotFound) {
		fmt.Println("no such key")
	}
}

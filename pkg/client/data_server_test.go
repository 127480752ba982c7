package client_test

import (
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

func TestDataOnAegis(t *testing.T) {
	client.ExerciseData(t, clienttest.New(t).Client(), true)
}

func TestBatchOnAegis(t *testing.T) {
	c := clienttest.New(t).Client()
	client.ExerciseBatch(t, c)
	client.ExerciseRaw(t, c)
}

func TestTypedOnAegis(t *testing.T) {
	client.ExerciseTyped(t, clienttest.New(t).Client(), true)
}

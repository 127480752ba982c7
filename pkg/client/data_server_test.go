package client_test

import (
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

func TestDataOnAegis(t *testing.T) {
	client.ExerciseData(t, clienttest.New(t).Client(), false)
}

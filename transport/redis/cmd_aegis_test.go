package redis

import "testing"

// TestWordsThatChangeAreNoReadingWords: of the words of rebalancing one only shows.
func TestWordsThatChangeAreNoReadingWords(t *testing.T) {
	for word, reads := range map[string]bool{
		"rebalance": true, "rebalance-cancel": false, "rebalance-resume": false, "status": true, "drain": false, "undrain": false, "decommission": false, "recover": false, "failover": false, "lease": false,
	} {
		if readingWords[word] != reads {
			t.Errorf("%s is taken from elsewhere: %v", word, readingWords[word])
		}
	}
}

package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func messages(logs *observer.ObservedLogs) (all []string) {
	for _, e := range logs.TakeAll() {
		line := e.Message
		if g, ok := e.ContextMap()["groups"]; ok {
			line += " " + g.(string)
		}
		if b, ok := e.ContextMap()["ballot"]; ok {
			line += " at " + b.(string)
		}
		all = append(all, line)
	}
	return all
}

func TestAStoryTellsManyGroupsInOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		log := zap.New(newStory(core))
		for g := range 4 {
			log.Info("suspected", zap.Int("group", 4-g), zap.String("ballot", string(rune('a'+g))))
			log.Info("opened", zap.Int("group", 2*g))
		}
		log.Info("suspected", zap.Int("group", 9), zap.Int("node", 2))
		log.Info("suspected", zap.Int("group", 7), zap.String("ballot", "z"), zap.Int("node", 3))
		if got := messages(logs); len(got) != 0 {
			t.Errorf("told before the window ended: %q", got)
		}
		time.Sleep(storyWindow)
		synctest.Wait()
		want := []string{"suspected 1-4", "opened 0,2,4,6", "suspected 9", "suspected 7 at z"}
		if got := messages(logs); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestOtherLinesPassAtOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		log := zap.New(newStory(core))
		log.Info("opened", zap.Int("group", 1))
		log.Warn("writes lost", zap.Int("group", 1), zap.Int("shard", 3))
		log.Info("opened", zap.Int("group", 2))
		log.Info("serving")
		log.With(zap.Int("x", 1)).Info("opened", zap.Int("group", 3))
		_ = log.Sync()
		want := []string{"opened 1", "writes lost", "opened 2", "serving", "opened 3"}
		if got := messages(logs); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		time.Sleep(2 * storyWindow)
		if got := messages(logs); len(got) != 0 {
			t.Errorf("told twice: %q", got)
		}
	})
}

package shardgroup

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

func shardID(s int) shardmap.ShardID { return shardmap.ShardID(s) }

func setCommand(key, value string) *statemachine.Command {
	return &statemachine.Command{Kind: statemachine.Set, Key: []byte(key), Value: []byte(value)}
}

type shardNodeID = shardmap.NodeID

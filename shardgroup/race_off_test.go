//go:build !race

package shardgroup

const raceBuild = false

//go:build !race

package redis

const raceBuild = false

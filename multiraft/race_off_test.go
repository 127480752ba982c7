//go:build !race

package multiraft

const raceBuild = false

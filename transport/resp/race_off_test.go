//go:build !race

package resp

const raceBuild = false

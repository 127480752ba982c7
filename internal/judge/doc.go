// Package judge runs the real redis-server for tests that compare with it. Only tests
// import it.
package judge

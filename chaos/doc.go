// Package chaos holds what proves AegisKV's word: checkers of histories that the
// simulator and, later, the suite on real processes share. It must not be linked
// into the server.
package chaos

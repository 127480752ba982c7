// Package direct reads and writes sockets past Go's scheduler.
//
// A call of a socket that does not block returns at once. To tell the runtime of it, as
// package syscall does, costs as much as a short call, and where all of the process
// sleeps much more: the runtime's monitor thread is woken, and looks around every 20 us
// until all sleeps again. Who waits for a socket leaves that to its syscall.RawConn.
package direct

// Package resp reads and writes the bytes of RESP2 and RESP3, for server and
// client alike. It owns no connection, knows no command, and never takes more
// memory than bytes have arrived: a claimed length is only believed as far as it
// is within the limit, and paid for as the bytes come.
package resp

package direct

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"
)

// IPv6 says whether a socket takes addresses of IPv6, those of IPv4 mapped into them.
func IPv6(fd uintptr) bool {
	domain, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_DOMAIN)
	return err == nil && domain == syscall.AF_INET6
}

// SendTo sends a packet by a UDP socket that does not block. The address has no zone.
func SendTo(fd uintptr, b []byte, to netip.AddrPort, ipv6 bool) syscall.Errno {
	if !ipv6 && !to.Addr().Unmap().Is4() {
		return syscall.EAFNOSUPPORT
	}
	if !ipv6 {
		a := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: to.Addr().Unmap().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], to.Port())
		return sendTo(fd, b, unsafe.Pointer(&a), syscall.SizeofSockaddrInet4)
	}
	a := syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Addr: to.Addr().As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], to.Port())
	return sendTo(fd, b, unsafe.Pointer(&a), syscall.SizeofSockaddrInet6)
}

package cluster

import (
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"
)

// What linux/sock_diag.h and linux/inet_diag.h say.
const (
	netlinkDiag   = 4  // NETLINK_SOCK_DIAG
	byFamily      = 20 // SOCK_DIAG_BY_FAMILY
	diagIDBytes   = 48 // inet_diag_sockid
	diagInode     = 4 + diagIDBytes + 16
	diagMax       = 200 * time.Millisecond
	diagAnswerMax = 4 << 10
)

// inodeOfStream asks the kernel for the inode of the socket whose own end and other end are
// known. It answers from its hash table; /proc/net/tcp lists all sockets of the machine, and
// where connections come and go there are thousands that wait for their end.
func inodeOfStream(own, other *net.TCPAddr) (string, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkDiag)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	limit := syscall.NsecToTimeval(int64(diagMax))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return "", err
	}
	if err := syscall.Sendto(fd, question(own, other), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return "", err
	}
	b := make([]byte, diagAnswerMax)
	n, _, err := syscall.Recvfrom(fd, b, 0)
	if err != nil {
		return "", err
	}
	all, err := syscall.ParseNetlinkMessage(b[:n])
	if err != nil || len(all) == 0 || all[0].Header.Type != byFamily || len(all[0].Data) < diagInode+4 {
		return "", errors.Join(err, errors.New("there is no such socket"))
	}
	inode := binary.NativeEndian.Uint32(all[0].Data[diagInode:])
	if inode == 0 {
		return "", errors.New("nobody has the socket any more")
	}
	return strconv.FormatUint(uint64(inode), 10), nil
}

// question is a request for one socket: header, family, protocol and states, then its ends.
func question(own, other *net.TCPAddr) []byte {
	const size = syscall.NLMSG_HDRLEN + 8 + diagIDBytes
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = binary.NativeEndian.AppendUint16(b, byFamily)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence and port
	b = append(b, syscall.AF_INET, syscall.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0))
	b = binary.BigEndian.AppendUint16(b, uint16(own.Port))
	b = binary.BigEndian.AppendUint16(b, uint16(other.Port))
	for _, ip := range []net.IP{own.IP, other.IP} {
		b = append(append(b, ip.To4()...), make([]byte, 12)...)
	}
	b = append(b, make([]byte, 4)...)                               // interface
	return append(b, []byte("\xff\xff\xff\xff\xff\xff\xff\xff")...) // any cookie
}

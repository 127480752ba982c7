package cluster

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// Ports lie below the range from which the kernel takes outgoing ones.
const (
	firstPort, lastPort = 12000, 19990
	portsEach           = 4 // client, cluster, gossip, admin
)

const (
	ownHost = "127.0.0.1" // where nodes listen for each other, and dial from
	setHost = "127.0.0.2" // what nodes announce: there stand the relays, and the client ports
)

var nextPort = struct {
	sync.Mutex
	at int
}{at: firstPort + os.Getpid()%400*16}

// freePorts is the first of n ports in a row that nobody listens on.
func freePorts(n int) (int, error) {
	nextPort.Lock()
	defer nextPort.Unlock()
	for range (lastPort - firstPort) / n {
		if nextPort.at+n > lastPort {
			nextPort.at = firstPort
		}
		base := nextPort.at
		nextPort.at += n
		if portsAreFree(base, n) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row from %d to %d", n, firstPort, lastPort)
}

func portsAreFree(base, n int) bool {
	for p := base; p < base+n; p++ {
		for _, host := range []string{ownHost, setHost} {
			addr := net.JoinHostPort(host, strconv.Itoa(p))
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return false
			}
			_ = l.Close()
			u, err := net.ListenPacket("udp", addr)
			if err != nil {
				return false
			}
			_ = u.Close()
		}
	}
	return true
}

package devcluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below the range that the kernel hands out to outgoing
// connections (32768 and up on Linux), so that none is lost between the choice
// and its use.
const firstPort, lastPort = 20000, 30000

// chosen are the ports that this process has given to any cluster: what is to
// listen there may not do so yet.
var chosen = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// choosePort returns the preferred port when it is free, else another that is
// free and not among those taken.
func choosePort(preferred int, taken map[string]int) (int, error) {
	chosen.Lock()
	defer chosen.Unlock()
	isTaken := map[int]bool{}
	for _, port := range taken {
		isTaken[port] = true
	}
	for candidate, tries := preferred, 0; tries < 1000; tries++ {
		if candidate != 0 && !isTaken[candidate] && (candidate == preferred || !chosen.ports[candidate]) && free(candidate) {
			chosen.ports[candidate] = true
			return candidate, nil
		}
		candidate = firstPort + rand.IntN(lastPort-firstPort)
	}
	return 0, fmt.Errorf("no free port found on %s between %d and %d", loopback, firstPort, lastPort)
}

func free(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

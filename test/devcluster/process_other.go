//go:build unix && !linux

package devcluster

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has no counterpart outside Linux: there Stop ends the processes.
func dieWithParent(*syscall.SysProcAttr) {}

// startTime returns when the process was started, as ps writes it. A pid is
// used again some day; a pid with its start time is not. It is empty when there
// is no such process, or only its remains wait to be collected.
func startTime(pid int) string {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, started, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || strings.HasPrefix(state, "Z") {
		return ""
	}
	return strings.TrimSpace(started)
}

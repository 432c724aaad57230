package devcluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dieWithParent makes the kernel end a child when the thread that started it is gone.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// startTime returns when the process was started, in the kernel's clock ticks.
// A pid is used again some day; a pid with its start time is not. It is empty
// when there is no such process, or only its remains wait to be collected.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may hold anything.
	_, rest, found := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return ""
	}
	state, threads, started := fields[0], fields[17], fields[19]
	// The first thread may have ended while others still hold the ports.
	if state == "Z" && (threads == "0" || threads == "1") || state == "X" {
		return ""
	}
	return started
}

package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is one program of the cluster, started by this process or, when it is
// detached, by an earlier one. Its fields are what the state file keeps of it.
type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Started goes with the pid, so that no foreign process is ever signalled.
	Started string `json:"started"`
	// Fingerprint is of the binary and its arguments: when it changes, the
	// process has to be started again.
	Fingerprint string `json:"fingerprint"`
	Log         string `json:"log"`
}

// command says how to start a process and how to tell that it works.
type command struct {
	name   string
	binary string
	args   []string
	// ready returns nil once the process serves.
	ready func(context.Context) error
}

func (c command) fingerprint() (string, error) {
	binary, err := os.Open(c.binary)
	if err != nil {
		return "", fmt.Errorf("%s is not built: %w", c.name, err)
	}
	defer binary.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, binary); err != nil {
		return "", err
	}
	fmt.Fprintf(hash, "%q", c.args)
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// start runs the command with its output appended to the log file. A detached
// process has a session of its own and outlives this one, others die with it.
func (c command) start(fingerprint, log string, detached bool) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()

	cmd := exec.Command(c.binary, c.args...)
	cmd.Args[0] = c.name // clients of Kubernetes introduce themselves by it
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !detached {
		dieWithParent(cmd.SysProcAttr)
	}

	started := make(chan error)
	go func() {
		// The kernel means the thread when it speaks of the parent
		// (https://go.dev/issue/27506), so the thread is kept until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // Collects the remains; the log tells the reason.
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	pid := cmd.Process.Pid
	return &process{Name: c.name, PID: pid, Started: startTime(pid), Fingerprint: fingerprint, Log: log}, nil
}

// alive reports whether the very process still runs.
func (p *process) alive() bool {
	return p != nil && p.Started != "" && startTime(p.PID) == p.Started
}

// signal sends the signal unless the process has ended already.
func (p *process) signal(signal syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %s to %s (pid %d): %w", signal, p.Name, p.PID, err)
	}
	return nil
}

// stopGrace is how long a process may take to shut down in order.
const stopGrace = 30 * time.Second

// end asks the process to end and waits. One that does not end in time is
// killed, and that is an error.
func (p *process) end(ctx context.Context) error {
	if p.Name == apiServer {
		// It would wait a minute for its watches to end, and it has nothing to
		// lose: what it has acknowledged is in etcd.
		return p.kill()
	}
	// One that was paused goes on, to end.
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if p.waitForExit(graceful) == nil {
		return nil
	}
	if err := p.kill(); err != nil {
		return err
	}
	return fmt.Errorf("%s did not stop in time and was killed%s", p.Name, p.logTail())
}

// kill ends the process without a chance to clean up, and waits until it is gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return p.waitForExit(ctx)
}

func (p *process) waitForExit(ctx context.Context) error {
	return poll(ctx, func(context.Context) error {
		if p.alive() {
			return fmt.Errorf("%s (pid %d) still runs", p.Name, p.PID)
		}
		return nil
	})
}

// waitUntilReady polls ready until it succeeds, the process ends or the context does.
func (p *process) waitUntilReady(ctx context.Context, ready func(context.Context) error) error {
	var ended bool
	err := poll(ctx, func(ctx context.Context) error {
		if ended = !p.alive(); ended {
			return nil
		}
		return ready(ctx)
	})
	if ended {
		return fmt.Errorf("%s ended at its start%s", p.Name, p.logTail())
	}
	if err != nil {
		return fmt.Errorf("%s did not become ready: %w%s", p.Name, err, p.logTail())
	}
	return nil
}

// logTail returns the last lines of the log, introduced by its path.
func (p *process) logTail() string {
	const lines, maxBytes = 15, 8 << 10
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return fmt.Sprintf("; its log cannot be read: %v", err)
	}
	text = text[max(0, len(text)-maxBytes):]
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := all[max(0, len(all)-lines):]
	return fmt.Sprintf("\nthe last lines of %s:\n  %s", relative(p.Log), strings.Join(last, "\n  "))
}

// relative shortens a path for people: it is seen from the working directory.
func relative(path string) string {
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil {
			return rel
		}
	}
	return path
}

// poll calls try until it returns nil, and returns try's last error when the
// context ends first.
func poll(ctx context.Context, try func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

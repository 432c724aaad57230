// Command release makes what is published of a version: archives of the server and
// of the plugin, the image, the chart, a manifest for krew, SBOMs, and checksums.
//
//	go -C hack/release run . -version v0.2.0
//
// It is a module of its own, so that none of its tools enters the server's go.mod. The
// same commit, version and Go toolchain give the same files.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// root is the top of the repository, as seen from this module.
	root = "../.."

	server = "policy-apiserver"
	plugin = "kubectl-clusterimport"
)

// platform is a GOOS and a GOARCH.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// platforms are all that are released. The server is not built for Windows.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

// versions are those that Go, Helm and krew agree on.
var versions = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$`)

// release is one run of this command.
type release struct {
	version   string
	platforms []platform
	// dir is where everything that is published goes, work where it is made.
	dir, work string
	// time is that of all files: the time of the commit.
	time time.Time
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	if r.time, err = commitTime(ctx); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "policy-apiserver-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	if err := errors.Join(os.RemoveAll(r.dir), os.MkdirAll(r.dir, 0o755)); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"building and packing", r.binaries},
		{"image", r.image},
		{"chart", r.chart},
		{"manifest for krew", r.krew},
		{"checksums", r.checksums},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Printf("%s (%s)\n", step.what, time.Since(began).Round(100*time.Millisecond))
	}
	fmt.Println("everything is in", r.dir)
	return nil
}

func parse(args []string) (*release, error) {
	var r release
	var chosen string
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", "", "the version, such as v0.2.0")
	flags.StringVar(&r.dir, "output", "", "where the files go; _output/release/VERSION if empty")
	flags.StringVar(&chosen, "platforms", "", "a comma-separated list such as linux/amd64; all if empty")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if !versions.MatchString(r.version) {
		return nil, fmt.Errorf("%q is not a version such as v0.2.0: run make release VERSION=v0.2.0", r.version)
	}
	if r.dir == "" {
		r.dir = filepath.Join(root, "_output", "release", r.version)
	}
	var err error
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return nil, err
	}
	for _, p := range platforms {
		if chosen == "" || slices.Contains(strings.Split(chosen, ","), p.String()) {
			r.platforms = append(r.platforms, p)
		}
	}
	if chosen != "" && len(r.platforms) != len(strings.Split(chosen, ",")) {
		return nil, fmt.Errorf("-platforms=%s: there are %v", chosen, platforms)
	}
	return &r, nil
}

// commitTime is the time of the commit that is released, or of SOURCE_DATE_EPOCH.
func commitTime(ctx context.Context) (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		output, err := command(ctx, "git", "-C", root, "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("the time of the commit, or else SOURCE_DATE_EPOCH, is needed: %w", err)
		}
		seconds = strings.TrimSpace(output)
	}
	parsed, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(parsed, 0).UTC(), nil
}

// command runs a command and returns what it prints.
func command(ctx context.Context, name string, args ...string) (string, error) {
	return commandWith(ctx, nil, name, args...)
}

// commandWith runs a command with some variables of the environment besides.
func commandWith(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return string(output), nil
}

// checksums writes SHA256SUMS, which `sha256sum --check` reads.
func (r *release) checksums(context.Context) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		sum, err := sha256Of(filepath.Join(r.dir, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, entry.Name())
	}
	return os.WriteFile(filepath.Join(r.dir, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func sha256Of(file string) (string, error) {
	content, err := os.ReadFile(file)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const module = "github.com/clusterpedia-io/policy-apiserver"

// binary is where a command is built for a platform.
func (r *release) binary(name string, p platform) string {
	file := filepath.Join(r.work, p.os+"-"+p.arch, name)
	if p.os == "windows" {
		file += ".exe"
	}
	return file
}

// published is the path of a file that is published: its name is NAME-VERSION-PLATFORM.
func (r *release) published(name string, p platform, extension string) string {
	return filepath.Join(r.dir, fmt.Sprintf("%s-%s-%s-%s%s", name, r.version, p.os, p.arch, extension))
}

// binaries builds the commands for each platform, packs them with the license, and
// writes down of what they consist.
func (r *release) binaries(ctx context.Context) error {
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return err
	}
	for _, p := range r.platforms {
		names := []string{server, plugin}
		if p.os == "windows" {
			names = []string{plugin}
		}
		for _, name := range names {
			if err := r.build(ctx, name, p); err != nil {
				return err
			}
			if err := r.sbom(ctx, name, p); err != nil {
				return err
			}
			content, err := os.ReadFile(r.binary(name, p))
			if err != nil {
				return err
			}
			archive := r.archiveOf(name, p)
			files := []file{
				{name: filepath.Base(r.binary(name, p)), mode: 0o755, content: content},
				{name: "LICENSE", mode: 0o644, content: license},
			}
			if err := writeArchive(archive, files, r.time); err != nil {
				return err
			}
			fmt.Printf("%s: %.1f MB, packed %.1f MB\n", filepath.Base(archive), megabytes(r.binary(name, p)), megabytes(archive))
		}
	}
	return nil
}

func (r *release) archiveOf(name string, p platform) string {
	if p.os == "windows" {
		return r.published(name, p, ".zip")
	}
	return r.published(name, p, ".tar.gz")
}

func (r *release) build(ctx context.Context, name string, p platform) error {
	ldflags := fmt.Sprintf("-s -w -X %s/cmd/%s/app.release=%s", module, name, r.version)
	_, err := commandWith(ctx, []string{"CGO_ENABLED=0", "GOOS=" + p.os, "GOARCH=" + p.arch},
		"go", "-C", root, "build", "-trimpath", "-buildvcs=false", "-ldflags="+ldflags, "-o", r.binary(name, p), "./cmd/"+name)
	return err
}

func megabytes(file string) float64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1e6
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// chart packs the chart. Helm writes the time of packing into it: it is packed again
// with the time of the commit.
func (r *release) chart(ctx context.Context) error {
	_, err := command(ctx, filepath.Join(root, "_output", "bin", "helm"), "package", filepath.Join(root, "artifacts", "deploy", "chart"),
		"--version", strings.TrimPrefix(r.version, "v"), "--app-version", r.version, "--destination", r.dir)
	if err != nil {
		return fmt.Errorf("%w\n(make helm builds Helm)", err)
	}
	packed := filepath.Join(r.dir, fmt.Sprintf("%s-%s.tgz", server, strings.TrimPrefix(r.version, "v")))
	files, err := readTarGz(packed)
	if err != nil {
		return err
	}
	named := filepath.Join(r.dir, fmt.Sprintf("%s-%s-chart.tgz", server, r.version))
	if err := os.Remove(packed); err != nil {
		return err
	}
	return writeArchive(named, files, r.time)
}

// krewManifest is what krew-index has of a plugin.
var krewManifest = template.Must(template.New("krew").Parse(`apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: clusterimport
spec:
  version: {{ .Version }}
  homepage: https://{{ .Module }}
  shortDescription: Preview, check and explain import policies of Clusterpedia
  description: |
    For those who write ClusterImportPolicies, by which the clusters of a platform
    become PediaClusters of Clusterpedia. render, lint and test work on files and need
    no cluster. diff and explain ask the policy-apiserver, with your own rights,
    and write nothing. migrate moves a host from Clusterpedia's CRDs to that server.
  platforms:
{{- range .Platforms }}
  - selector:
      matchLabels:
        os: {{ .OS }}
        arch: {{ .Arch }}
    uri: https://{{ $.Module }}/releases/download/{{ $.Version }}/{{ .Archive }}
    sha256: {{ .SHA256 }}
    bin: {{ .Binary }}
    files:
    - from: {{ .Binary }}
      to: .
    - from: LICENSE
      to: .
{{- end }}
`))

// krew writes the manifest by which `kubectl krew install` finds the archives.
func (r *release) krew(context.Context) error {
	type entry struct{ OS, Arch, Archive, SHA256, Binary string }
	var entries []entry
	for _, p := range r.platforms {
		archive := r.archiveOf(plugin, p)
		sum, err := sha256Of(archive)
		if err != nil {
			return err
		}
		entries = append(entries, entry{p.os, p.arch, filepath.Base(archive), sum, filepath.Base(r.binary(plugin, p))})
	}
	// The name of the file has to be that of the plugin.
	path := filepath.Join(r.dir, "clusterimport.yaml")
	manifest, err := os.Create(path)
	if err != nil {
		return err
	}
	err = krewManifest.Execute(manifest, map[string]any{"Version": r.version, "Module": module, "Platforms": entries})
	return errors.Join(err, manifest.Close())
}

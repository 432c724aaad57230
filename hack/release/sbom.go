package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/base64"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// sbom writes the modules of a binary as CycloneDX. They are read from the binary itself.
func (r *release) sbom(_ context.Context, name string, p platform) error {
	info, err := buildinfo.ReadFile(r.binary(name, p))
	if err != nil {
		return err
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = "" // it would differ each time
	main := component(module, r.version)
	main.Type = cyclonedx.ComponentTypeApplication
	main.Name = name
	bom.Metadata = &cyclonedx.Metadata{Timestamp: r.time.Format("2006-01-02T15:04:05Z"), Component: &main}
	components := []cyclonedx.Component{component("std", "v"+strings.TrimPrefix(info.GoVersion, "go"))}
	for _, dependency := range info.Deps {
		c, err := dependencyOf(dependency)
		if err != nil {
			return err
		}
		components = append(components, c)
	}
	bom.Components = &components
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(r.published(name, p, ".cdx.json"), text.Bytes(), 0o644)
}

func component(path, version string) cyclonedx.Component {
	purl := fmt.Sprintf("pkg:golang/%s@%s", path, version)
	return cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
}

// dependencyOf is the component of a module, with its hash: that of go.sum in hexadecimal.
func dependencyOf(dependency *debug.Module) (cyclonedx.Component, error) {
	if dependency.Replace != nil {
		dependency = dependency.Replace
	}
	c := component(dependency.Path, dependency.Version)
	if sum, ok := strings.CutPrefix(dependency.Sum, "h1:"); ok {
		decoded, err := base64.StdEncoding.DecodeString(sum)
		if err != nil {
			return c, fmt.Errorf("the hash of %s: %w", dependency.Path, err)
		}
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: fmt.Sprintf("%x", decoded)}}
	}
	return c, nil
}

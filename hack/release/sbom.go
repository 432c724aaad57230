package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	if name == plugin {
		packages, err := bundled()
		if err != nil {
			return err
		}
		components = append(components, packages...)
	}
	bom.Components = &components
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(r.published(name, p, ".cdx.json"), text.Bytes(), 0o644)
}

// bundledPackage matches the first line of each license of what is bundled into the playground.
var bundledPackage = regexp.MustCompile(`(?m)^(\S+) (\d+\.\d+\.\d+) \((\S+)\)$`)

// bundled are the npm packages in the playground of the plugin.
func bundled() (packages []cyclonedx.Component, err error) {
	text, err := os.ReadFile(filepath.Join(root, "cmd", plugin, "playground/assets/LICENSES.txt"))
	if err != nil {
		return nil, err
	}
	for _, match := range bundledPackage.FindAllStringSubmatch(string(text), -1) {
		purl := fmt.Sprintf("pkg:npm/%s@%s", strings.Replace(match[1], "@", "%40", 1), match[2])
		packages = append(packages, cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: match[1], Version: match[2],
			PackageURL: purl, Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: match[3]}}}})
	}
	return packages, nil
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

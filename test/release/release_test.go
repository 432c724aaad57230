// Package release tests what `make release` makes. `make test` makes it for the platform
// that the test runs on; `make release` has the test look at all that was made.
package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// made is the directory of a release. Its name is the version.
var made = flag.String("made", "", "look at the release in this directory, which has all platforms, instead of making one")

const (
	root = "../.."

	// most is how large a stripped binary may be, in bytes: whoever adds a package
	// shall notice. kubectl itself has 60 MB.
	mostPlugin, mostServer = 62_000_000, 100_000_000
)

// own is the platform that the test runs on.
var own = runtime.GOOS + "/" + runtime.GOARCH

var (
	// version and platforms are those of the release.
	version   = "v0.0.0-test"
	platforms = []string{own}
)

// TestARelease looks at each file of a release as its user would.
func TestARelease(t *testing.T) {
	dir := *made
	if dir != "" {
		version = filepath.Base(dir)
		platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
	} else {
		dir = filepath.Join(t.TempDir(), "release")
		if linux := "linux/" + runtime.GOARCH; own != linux { // The image is for Linux, whatever the tests run on.
			platforms = append(platforms, linux)
		}
		t.Log(run(t, "go", "-C", root+"/hack/release", "run", ".", "-version", version, "-output", dir, "-platforms", strings.Join(platforms, ",")))
	}

	t.Run("has all files and no others", func(t *testing.T) { checkNames(t, dir) })
	t.Run("checksums", func(t *testing.T) { checkSums(t, dir) })
	t.Run("server", func(t *testing.T) {
		binary := unpack(t, dir, "policy-apiserver", mostServer)
		contains(t, run(t, binary, "--version"), version)
	})
	t.Run("plugin", func(t *testing.T) {
		binary := unpack(t, dir, "kubectl-clusterimport", mostPlugin)
		contains(t, run(t, binary, "version"), version)
		run(t, binary, "lint", "-f", root+"/artifacts/examples/oak/policy.yaml")
	})
	t.Run("binaries of all platforms", func(t *testing.T) { checkBinaries(t, dir) })
	t.Run("SBOM", func(t *testing.T) { checkSBOM(t, dir) })
	t.Run("manifest for krew", func(t *testing.T) { checkKrew(t, dir) })
	t.Run("image", func(t *testing.T) { checkImage(t, dir) })
	t.Run("chart", func(t *testing.T) { checkChart(t, dir) })
}

func TestAReleaseNeedsAVersion(t *testing.T) {
	for _, args := range [][]string{{}, {"-version", "0.2.0"}, {"-version", "v1"}, {"-version", "v0.2.0", "-platforms", "plan9/386"}} {
		output, err := exec.CommandContext(t.Context(), "go", append([]string{"-C", root + "/hack/release", "run", "."}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "release: ") {
			t.Errorf("%v: %v: %s", args, err, output)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("no %q in:\n%s", part, text)
	}
}

func read(t *testing.T, elements ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	must(t, err)
	return content
}

// archive is the name of the archive of a binary.
func archive(name, platform string) string {
	if strings.HasPrefix(platform, "windows/") {
		return file(name, platform, ".zip")
	}
	return file(name, platform, ".tar.gz")
}

func file(name, platform, extension string) string {
	return name + "-" + version + "-" + strings.Replace(platform, "/", "-", 1) + extension
}

func checkNames(t *testing.T, dir string) {
	want := []string{
		"SHA256SUMS", "clusterimport.yaml",
		"policy-apiserver-" + version + "-chart.tgz", "policy-apiserver-" + version + "-image.tar",
	}
	for _, platform := range platforms {
		for _, name := range []string{"policy-apiserver", "kubectl-clusterimport"} {
			if name == "policy-apiserver" && strings.HasPrefix(platform, "windows/") {
				continue
			}
			want = append(want, archive(name, platform), file(name, platform, ".cdx.json"))
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the files are\n%v, not\n%v", got, want)
	}
}

func checkSums(t *testing.T, dir string) {
	lines := strings.Split(strings.TrimSpace(string(read(t, dir, "SHA256SUMS"))), "\n")
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(lines) != len(entries)-1 {
		t.Errorf("%d sums of %d files", len(lines), len(entries)-1)
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256(read(t, dir, name))); got != sum {
			t.Errorf("%s has the sum %s, not %s", name, got, sum)
		}
	}
}

// files returns the files in a tar archive.
func files(t *testing.T, archive io.Reader) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		must(t, err)
		found[header.Name], err = io.ReadAll(reader)
		must(t, err)
	}
}

func compressed(t *testing.T, content []byte) io.Reader {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(content))
	must(t, err)
	return reader
}

// unpacked returns the files of an archive of a binary.
func unpacked(t *testing.T, dir, name string) map[string][]byte {
	t.Helper()
	content := read(t, dir, name)
	if !strings.HasSuffix(name, ".zip") {
		return files(t, compressed(t, content))
	}
	reader, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	must(t, err)
	found := map[string][]byte{}
	for _, file := range reader.File {
		opened, err := file.Open()
		must(t, err)
		found[file.Name], err = io.ReadAll(opened)
		must(t, err)
	}
	return found
}

// unpack returns the binary of an archive.
func unpack(t *testing.T, dir, name string, most int) string {
	t.Helper()
	found := unpacked(t, dir, archive(name, own))
	if names := slices.Sorted(maps.Keys(found)); !slices.Equal(names, []string{"LICENSE", name}) {
		t.Errorf("the archive has %v", names)
	}
	if size := len(found[name]); size > most {
		t.Errorf("%s has %d bytes, more than %d: see `go version -m` and `go tool nm -size -sort size` for what it links", name, size, most)
	}
	binary := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(binary, found[name], 0o700))
	return binary
}

// checkBinaries looks at what nobody here can run: their size, and that those for Linux
// need no library.
func checkBinaries(t *testing.T, dir string) {
	for _, platform := range platforms {
		for name, most := range map[string]int{"policy-apiserver": mostServer, "kubectl-clusterimport": mostPlugin} {
			if name == "policy-apiserver" && strings.HasPrefix(platform, "windows/") {
				continue
			}
			found := unpacked(t, dir, archive(name, platform))
			binary := found[name]
			if strings.HasPrefix(platform, "windows/") {
				binary = found[name+".exe"]
			}
			if len(binary) == 0 || len(binary) > most {
				t.Errorf("%s for %s has %d bytes, not up to %d", name, platform, len(binary), most)
			}
			if !strings.HasPrefix(platform, "linux/") {
				continue
			}
			parsed, err := elf.NewFile(bytes.NewReader(binary))
			must(t, err)
			for _, segment := range parsed.Progs {
				if segment.Type == elf.PT_INTERP {
					t.Errorf("%s for %s is linked dynamically", name, platform)
				}
			}
		}
	}
}

func checkSBOM(t *testing.T, dir string) {
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct {
			PURL   string `json:"purl"`
			Hashes []struct{ Alg, Content string }
		}
	}
	must(t, json.Unmarshal(read(t, dir, file("policy-apiserver", own, ".cdx.json")), &bom))
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != "policy-apiserver" || bom.Metadata.Component.Version != version {
		t.Errorf("it is of %+v", bom.Metadata)
	}
	found := map[string]int{}
	for _, component := range bom.Components {
		path, _, _ := strings.Cut(component.PURL, "@")
		found[path] = len(component.Hashes)
	}
	for _, module := range []string{"k8s.io/apiserver", "go.etcd.io/etcd/server/v3"} {
		if found["pkg:golang/"+module] != 1 {
			t.Errorf("%s is missing, or has no hash", module)
		}
	}
	if _, ok := found["pkg:golang/std"]; !ok {
		t.Error("the standard library is missing")
	}
	if !bytes.Contains(read(t, dir, file("kubectl-clusterimport", own, ".cdx.json")), []byte(`"pkg:npm/%40codemirror/view@`)) {
		t.Error("what is bundled into the playground is missing")
	}
}

func checkKrew(t *testing.T, dir string) {
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description string
			Platforms                                        []struct {
				URI, SHA256, Bin string
				Selector         struct{ MatchLabels map[string]string }
				Files            []struct{ From, To string }
			}
		}
	}
	must(t, yaml.UnmarshalStrict(read(t, dir, "clusterimport.yaml"), &manifest))
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" ||
		manifest.Metadata.Name != "clusterimport" || manifest.Spec.Version != version || manifest.Spec.ShortDescription == "" || manifest.Spec.Description == "" {
		t.Errorf("it is %+v", manifest)
	}
	if len(manifest.Spec.Platforms) != len(platforms) {
		t.Fatalf("it has %d platforms, not %d", len(manifest.Spec.Platforms), len(platforms))
	}
	for _, p := range manifest.Spec.Platforms {
		name := p.URI[strings.LastIndex(p.URI, "/")+1:]
		if got := fmt.Sprintf("%x", sha256.Sum256(read(t, dir, name))); got != p.SHA256 {
			t.Errorf("%s has the sum %s, not %s", name, got, p.SHA256)
		}
		found := unpacked(t, dir, name)
		for _, file := range append([]string{p.Bin}, p.Files[0].From, p.Files[1].From) {
			if _, ok := found[file]; !ok {
				t.Errorf("%s has no %s", name, file)
			}
		}
		if want := archive("kubectl-clusterimport", p.Selector.MatchLabels["os"]+"/"+p.Selector.MatchLabels["arch"]); name != want {
			t.Errorf("the archive for %v is %s, not %s", p.Selector.MatchLabels, name, want)
		}
	}
}

// descriptor is a descriptor of the OCI image specification.
type descriptor struct {
	MediaType, Digest string
	Size              int
	Annotations       map[string]string
	Platform          struct{ OS, Architecture string }
}

// checkImage follows the archive from its index to the files in its layers, and compares
// it with the workload of the manifests.
func checkImage(t *testing.T, dir string) {
	content := files(t, bytes.NewReader(read(t, dir, "policy-apiserver-"+version+"-image.tar")))
	blob := func(d descriptor) []byte {
		t.Helper()
		algorithm, sum, _ := strings.Cut(d.Digest, ":")
		blob, ok := content["blobs/"+algorithm+"/"+sum]
		if got := fmt.Sprintf("%x", sha256.Sum256(blob)); !ok || got != sum || len(blob) != d.Size {
			t.Fatalf("the blob %s is missing or damaged", d.Digest)
		}
		return blob
	}
	contains(t, string(content["oci-layout"]), `"1.0.0"`)
	var top, index struct{ Manifests []descriptor }
	must(t, json.Unmarshal(content["index.json"], &top))
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["io.containerd.image.name"] != "ghcr.io/clusterpedia-io/policy-apiserver:"+version {
		t.Fatalf("the index has %+v", top.Manifests)
	}
	must(t, json.Unmarshal(blob(top.Manifests[0]), &index))
	var have, want []string
	for _, image := range index.Manifests {
		have = append(have, image.Platform.OS+"/"+image.Platform.Architecture)
		checkImageOf(t, image, blob)
	}
	for _, platform := range platforms {
		if strings.HasPrefix(platform, "linux/") {
			want = append(want, platform)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("the image is for %v, not %v", have, want)
	}
}

// checkImageOf looks at the image of one platform, whose blobs the function returns.
func checkImageOf(t *testing.T, image descriptor, blob func(descriptor) []byte) {
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	must(t, json.Unmarshal(blob(image), &manifest))
	var config struct {
		OS, Architecture string
		Config           struct {
			User         string
			Entrypoint   []string
			ExposedPorts map[string]struct{}
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	must(t, json.Unmarshal(blob(manifest.Config), &config))
	if config.OS != image.Platform.OS || config.Architecture != image.Platform.Architecture || config.Config.User != "65532:65532" ||
		!slices.Equal(config.Config.Entrypoint, []string{"/policy-apiserver"}) {
		t.Errorf("the configuration is %+v", config)
	}
	if _, exposed := config.Config.ExposedPorts["8443/tcp"]; !exposed {
		t.Error("the port is not exposed")
	}
	found := map[string][]byte{}
	for i, layer := range manifest.Layers {
		content, err := io.ReadAll(compressed(t, blob(layer)))
		must(t, err)
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); got != config.RootFS.DiffIDs[i] {
			t.Errorf("layer %d is %s, the configuration says %s", i, got, config.RootFS.DiffIDs[i])
		}
		maps.Copy(found, files(t, bytes.NewReader(content)))
	}
	contains(t, string(found["etc/passwd"]), "nonroot:x:65532:65532:")
	contains(t, string(found["etc/ssl/certs/ca-certificates.crt"]), "-----BEGIN CERTIFICATE-----")
	if _, ok := found["tmp/"]; !ok {
		t.Error("there is no /tmp")
	}
	if own == image.Platform.OS+"/"+image.Platform.Architecture {
		binary := filepath.Join(t.TempDir(), "server")
		must(t, os.WriteFile(binary, found["policy-apiserver"], 0o700))
		contains(t, run(t, binary, "--version"), version)
	}
}

func checkChart(t *testing.T, dir string) {
	chart := filepath.Join(dir, "policy-apiserver-"+version+"-chart.tgz")
	rendered := run(t, root+"/_output/bin/helm", "template", "policy-apiserver", chart, "--namespace=clusterpedia-system", "--set", "platforms={cluster-api},monitoring.enabled=true")
	contains(t, rendered, `image: "ghcr.io/clusterpedia-io/policy-apiserver:`+version+`"`)
	for _, part := range []string{"kind: StatefulSet", "kind: ServiceMonitor", "clusterpedia:policy-sources:cluster-api"} {
		contains(t, rendered, part)
	}
}

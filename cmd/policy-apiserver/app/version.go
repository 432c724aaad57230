package app

import "runtime/debug"

// release is the version of a release: `make release` has the linker set it.
var release string

// buildVersion is that of the release, or else what the Go toolchain recorded: the tag or the commit that
// this was built from. The version of k8s.io/component-base is not ours to
// set: feature gates and admission compare it with releases of Kubernetes.
func buildVersion() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

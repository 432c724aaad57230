package app

import "runtime/debug"

// buildVersion is what the Go toolchain recorded: the tag or the commit that
// this was built from. The version of k8s.io/component-base is not ours to
// set: feature gates and admission compare it with releases of Kubernetes.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

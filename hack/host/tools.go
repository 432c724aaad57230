//go:build tools

// Package host names the commands of the development host, so that go.mod
// keeps what they are built from. It is a module of its own: none of it enters
// the server's go.mod.
package host

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)

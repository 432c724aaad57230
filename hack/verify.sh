#!/usr/bin/env bash
# Checks what a commit must keep in order. Every check runs, any failure fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
# check WHAT COMMAND...: shows the output of a command that fails.
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok    $what"
  else
    echo "FAIL  $what"
    echo "$output"
    failed=1
  fi
}

# formatted lists the files that gofmt would change, and fails if there are any.
formatted() {
  local files
  files=$(gofmt -l cmd pkg test hack) && echo "$files" && [[ -z $files ]]
}

# modules_of DIR PACKAGE: the modules that a package is compiled from, with versions.
modules_of() {
  CGO_ENABLED=0 go -C "$1" list -deps \
    -f '{{with .Module}}{{.Path}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}' "$2" | sort -u
}

# shared lists the modules that host and server have at different versions, and
# fails if there are any: what both use would be compiled twice.
shared() {
  local differ
  differ=$(join <(modules_of . ./cmd/policy-apiserver) <(modules_of hack/host k8s.io/kubernetes/cmd/kube-apiserver) |
    awk '$2 != $3 { print $1 ": " $2 " in go.mod, " $3 " in hack/host/go.mod" }') && echo "$differ" && [[ -z $differ ]]
}

check "formatted (gofmt -w mends it)" formatted
check "vetted" go vet ./...
check "hack/release is vetted" go -C hack/release vet ./...
check "test/browser is vetted" go -C test/browser vet ./...
check "test/monitoring is vetted" go -C test/monitoring vet ./...
check "go.mod is tidy (go mod tidy mends it)" go mod tidy -diff
check "hack/host/go.mod is tidy" go -C hack/host mod tidy -diff
check "hack/helm/go.mod is tidy" go -C hack/helm mod tidy -diff
check "hack/release/go.mod is tidy" go -C hack/release mod tidy -diff
check "test/browser/go.mod is tidy" go -C test/browser mod tidy -diff
check "test/monitoring/go.mod is tidy" go -C test/monitoring mod tidy -diff
check "hack/host has the versions of go.mod" shared
check "generated code is current (make update mends it)" hack/verify-codegen.sh
exit $failed

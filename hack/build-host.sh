#!/usr/bin/env bash
# Builds the development host (kube-apiserver, kube-controller-manager, kubectl
# and etcd) from the module in hack/host. Binaries are kept by version under
# _output/host, so each is built once; _output/bin links to the current ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version_of() { awk -v module="$1" '$1 == module { print $2; exit }' hack/host/go.mod; }
kubernetes=$(version_of k8s.io/kubernetes)
etcd=$(version_of go.etcd.io/etcd/server/v3)

# build NAME VERSION PACKAGE: makes _output/host/VERSION/NAME unless it is there.
build() {
  local name=$1 version=$2 package=$3
  local target=$PWD/_output/host/$version/$name
  if [[ ! -x $target ]]; then
    echo "building $name $version, a few minutes the first time ..."
    mkdir -p "${target%/*}"
    # Written under another name first: an interrupted build leaves no half binary.
    (cd hack/host && CGO_ENABLED=0 go build -v -trimpath -buildvcs=false \
      -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" \
      -o "$target.partial" "$package") 2>&1 | progress
    mv "$target.partial" "$target"
    echo "built $name in ${SECONDS}s"
  fi
  ln -sfn "../host/$version/$name" "_output/bin/$name"
  SECONDS=0
}

# progress counts the package paths that `go build -v` prints and passes on
# everything else: downloads and errors.
progress() {
  local line count=0
  while IFS= read -r line; do
    if [[ $line == *" "* ]]; then
      echo "$line"
    elif (( ++count % 250 == 0 )); then
      echo "  $count packages compiled"
    fi
  done
}

mkdir -p _output/bin
build kubectl "$kubernetes" k8s.io/kubernetes/cmd/kubectl
build kube-apiserver "$kubernetes" k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager "$kubernetes" k8s.io/kubernetes/cmd/kube-controller-manager
build etcd "$etcd" ./etcd

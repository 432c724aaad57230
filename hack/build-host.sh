#!/usr/bin/env bash
# Builds the development host (kube-apiserver, kube-controller-manager, kubectl
# and etcd) from the module in hack/host or, with the argument helm, Helm from
# that in hack/helm. Binaries are kept by version under _output/host, so each is
# built once; _output/bin links to the current ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version_of() { go -C "hack/$1" list -m -f '{{.Version}}' "$2"; }
kubernetes=$(version_of host k8s.io/kubernetes)
etcd=$(version_of host go.etcd.io/etcd/server/v3)
helm=$(version_of helm helm.sh/helm/v4)

# build NAME VERSION MODULE PACKAGE: makes _output/host/VERSION/NAME unless it is there.
build() {
  local name=$1 version=$2 module=$3 package=$4
  local target=$PWD/_output/host/$version/$name
  if [[ ! -x $target ]]; then
    echo "building $name $version, a few minutes the first time ..."
    mkdir -p "${target%/*}"
    # Written under another name first: an interrupted build leaves no half binary.
    (cd "hack/$module" && CGO_ENABLED=0 go build -v -trimpath -buildvcs=false \
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
if [[ ${1:-} == helm ]]; then
  build helm "$helm" helm helm.sh/helm/v4/cmd/helm
  exit
fi
build kubectl "$kubernetes" host k8s.io/kubernetes/cmd/kubectl
build kube-apiserver "$kubernetes" host k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager "$kubernetes" host k8s.io/kubernetes/cmd/kube-controller-manager
build etcd "$etcd" host ./etcd

#!/usr/bin/env bash
# Builds the development host (kube-apiserver, kube-controller-manager, kubectl
# and etcd) from the module in hack/host or, with the argument helm, Helm from
# that in hack/helm. Binaries are kept by version under _output/host, so each is
# built once; _output/bin links to the current ones.
#
# A kubectl or Helm in PATH is taken instead of building one, if it fits: kubectl
# within one minor version of the host, as Kubernetes supports it, and Helm 3 or 4.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/progress.sh
source hack/progress.sh
# shellcheck source=hack/installed.sh
source hack/installed.sh

version_of() { go -C "hack/$1" list -m -f '{{.Version}}' "$2"; }

# build MODULE VERSION PACKAGE...: makes _output/host/VERSION/NAME of each package
# unless it is there. All in one command: one is linked while others are compiled.
build() {
  local module=$1 version=$2 name package
  local folder=$PWD/_output/host/$version
  shift 2
  local missing=()
  for package; do
    name=${package##*/}
    [[ -x $folder/$name ]] || missing+=("$package")
    ln -sfn "../host/$version/$name" "_output/bin/$name"
  done
  (( ${#missing[@]} )) || return 0
  echo "building ${missing[*]##*/} $version, some minutes the first time ..."
  local began=$SECONDS
  # In another folder first: an interrupted build leaves no half binary.
  mkdir -p "$folder/partial"
  (cd "hack/$module" && CGO_ENABLED=0 go build -v -trimpath -buildvcs=false \
    -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" \
    -o "$folder/partial/" "${missing[@]}") 2>&1 | progress
  for package in "${missing[@]}"; do
    mv "$folder/partial/${package##*/}" "$folder/"
  done
  rmdir "$folder/partial"
  echo "built ${missing[*]##*/} in $((SECONDS - began))s"
}

mkdir -p _output/bin
kubernetes=$(version_of host k8s.io/kubernetes)
if [[ ${1:-} == helm ]]; then
  helm=$(version_of helm helm.sh/helm/v4)
  installed helm "$helm" fits_helm version --short || build helm "$helm" helm.sh/helm/v4/cmd/helm
  exit
fi
commands=(k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager)
installed kubectl "$kubernetes" fits_host version --client || commands+=(k8s.io/kubernetes/cmd/kubectl)
build host "$kubernetes" "${commands[@]}"
build host "$(version_of host go.etcd.io/etcd/server/v3)" ./etcd

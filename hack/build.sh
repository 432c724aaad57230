#!/usr/bin/env bash
# Builds the server and the plugin into _output/bin, as the image is built: what
# is compiled for one is compiled once. The first time takes a minute, so it says
# how far it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/progress.sh
source hack/progress.sh

echo "building policy-apiserver and kubectl-clusterimport"
CGO_ENABLED=0 go build -v -trimpath -o _output/bin/ ./cmd/... 2>&1 | progress

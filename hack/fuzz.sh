#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go list ./cmd/... ./pkg/... | while read -r package; do
  go test -list '^Fuzz' "$package" | { grep '^Fuzz' || true; } | while read -r target; do
    echo "== $package $target"
    go test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-60s}" -fuzzminimizetime=10x "$package"
  done
done

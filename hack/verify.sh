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

check "formatted (gofmt -w mends it)" formatted
check "vetted" go vet ./...
check "hack/release is vetted" go -C hack/release vet ./...
check "go.mod is tidy (go mod tidy mends it)" go mod tidy -diff
check "hack/host/go.mod is tidy" go -C hack/host mod tidy -diff
check "hack/helm/go.mod is tidy" go -C hack/helm mod tidy -diff
check "hack/release/go.mod is tidy" go -C hack/release mod tidy -diff
check "generated code is current (make update mends it)" hack/verify-codegen.sh
exit $failed

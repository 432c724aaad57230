#!/usr/bin/env bash
# Checks that the rules find what they forbid: Vale must report exactly
# testdata/findings.txt for the samples in testdata. UPDATE=1 writes that file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
vale=$1
expected=hack/vale/testdata/findings.txt

# The path, the rule and the message; --no-exit, since findings are what is wanted.
found=$(go run "$vale" --no-exit --output=line hack/vale/testdata | sed -E 's/^([^:]*):([0-9]+):[0-9]+:/\1:\2: /' | LC_ALL=C sort)
if [[ ${UPDATE:-} == 1 ]]; then
  echo "$found" > "$expected"
fi
diff -u "$expected" <(echo "$found")

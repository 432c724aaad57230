#!/usr/bin/env bash
# Fails, with the difference, when the generated code is not what
# hack/update-codegen.sh makes of the types. Changes nothing.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

WORK="$(mktemp -d)"
trap 'rm -rf "${WORK}"' EXIT
mkdir "${WORK}/tree"

tar --create --exclude=./_output --exclude=./.git . | tar --extract --directory "${WORK}/tree"
cp -R "${WORK}/tree/pkg" "${WORK}/pkg"
if ! OUTPUT_ROOT="${WORK}/tree" hack/update-codegen.sh > "${WORK}/log" 2>&1; then
  cat "${WORK}/log"
  exit 1
fi
cd "${WORK}"
if ! diff --recursive --unified pkg tree/pkg; then
  echo "Generated code is not current: run hack/update-codegen.sh"
  exit 1
fi

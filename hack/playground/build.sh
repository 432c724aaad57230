#!/usr/bin/env bash
# Bundles the editor of the playground, and records from what. It takes node and npm; neither
# is needed to build or test the plugin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

assets=cmd/kubectl-clusterimport/playground/assets
work=_output/playground

# Apart, since checks of the repository would look into the packages too.
mkdir -p "$work"
rm -rf "$work/src"
cp -R hack/playground/. "$work/"
npm --prefix "$work" ci
(cd "$work" && node build.mjs "$OLDPWD/$assets")

sha256sum hack/playground/package.json hack/playground/package-lock.json hack/playground/build.mjs hack/playground/src/* \
  "$assets/editor.js" "$assets/LICENSES.txt" >hack/playground/built.sha256

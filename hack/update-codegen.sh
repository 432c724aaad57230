#!/usr/bin/env bash
# Generates deepcopy, defaults, conversion, OpenAPI, clientset, listers,
# informers and apply configurations from the types in pkg/apis.
# OUTPUT_ROOT (default: this repository) is the tree that is written to.
set -o errexit -o nounset -o pipefail

cd "${OUTPUT_ROOT:-$(dirname "${BASH_SOURCE[0]}")/..}"

MODULE=github.com/clusterpedia-io/policy-apiserver
BOILERPLATE=hack/boilerplate.go.txt

# The generators install themselves into GOBIN: keep them out of the user's.
GOBIN="$(pwd)/_output/codegen/bin"
export GOBIN

go mod download k8s.io/code-generator
CODEGEN="$(go list -m -f '{{.Dir}}' k8s.io/code-generator)"
# shellcheck disable=SC1091
source "${CODEGEN}/kube_codegen.sh"

kube::codegen::gen_helpers --boilerplate "${BOILERPLATE}" pkg/apis

WORK="$(mktemp -d)"
trap 'rm -rf "${WORK}"' EXIT

kube::codegen::gen_openapi \
  --output-dir pkg/generated/openapi \
  --output-pkg "${MODULE}/pkg/generated/openapi" \
  --output-model-name-file zz_generated.model_name.go \
  --extra-pkgs k8s.io/apimachinery/pkg/util/intstr \
  --report-filename "${WORK}/api-rules" --update-report \
  --boilerplate "${BOILERPLATE}" \
  pkg/apis

# Apply configurations take their merge keys from the OpenAPI schema.
go run ./hack/models-schema > "${WORK}/schema.json"

kube::codegen::gen_client \
  --with-watch \
  --with-applyconfig \
  --applyconfig-openapi-schema "${WORK}/schema.json" \
  --output-dir pkg/generated \
  --output-pkg "${MODULE}/pkg/generated" \
  --boilerplate "${BOILERPLATE}" \
  pkg/apis

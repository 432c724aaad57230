// Command models-schema prints the OpenAPI v2 definitions of the API, from
// which the generator of the apply configurations learns its merge keys.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/openapi"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(swagger()); err != nil {
		fmt.Fprintf(os.Stderr, "encoding the schema: %v\n", err)
		os.Exit(1)
	}
}

func swagger() *spec.Swagger {
	definitions := spec.Definitions{}
	ref := func(name string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name) }
	for name, definition := range openapi.GetOpenAPIDefinitions(ref) {
		definitions[name] = definition.Schema
		// A type may bring a schema of its own for OpenAPI v2.
		if v2, ok := definition.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			definitions[name] = v2
		}
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "policy.clusterpedia.io", Version: "v1alpha1"}},
		Definitions: definitions,
	}}
}

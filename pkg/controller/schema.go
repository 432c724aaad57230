package controller

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// hostSchema is what the host says of PediaClusters. It is for one goroutine.
type hostSchema struct {
	host dynamic.Interface
	// version is that of the definition from which the schema was compiled, which is nil
	// when there is none, or when it cannot be used.
	version string
	schema  *render.Schema
}

// at is the schema of that version of the definition. The former one is returned with an
// error when the definition cannot be read now.
func (h *hostSchema) at(ctx context.Context, version string) (*render.Schema, error) {
	if version == h.version {
		return h.schema, nil
	}
	if version == "" { // no definition: the shipped one is used
		h.version, h.schema = "", nil
		return nil, nil
	}
	definition, err := h.host.Resource(render.DefinitionGVR).Get(ctx, render.PediaClusterDefinition, metav1.GetOptions{})
	if err != nil {
		return h.schema, fmt.Errorf("reading the PediaCluster CRD: %w", err)
	}
	schema, err := render.SchemaOf(definition)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The PediaCluster CRD is not used to validate PediaClusters")
	}
	h.version, h.schema = version, schema
	return schema, nil
}

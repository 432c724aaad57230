package offline

import (
	"context"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// ReadPolicies reads the policies of the files, which must have one at least.
// Other objects are left out. The error is of type Findings when the server
// would refuse a policy.
func ReadPolicies(ctx context.Context, files resource.FilenameOptions, stdin io.Reader) ([]*policyv1alpha1.ClusterImportPolicy, error) {
	objects, err := manifest.Read(files, stdin)
	if err != nil {
		return nil, err
	}
	return policies(ctx, objects, strings.Join(files.Filenames, ", "))
}

// ReadPolicy reads the policy of files that have only one.
func ReadPolicy(ctx context.Context, files resource.FilenameOptions, stdin io.Reader) (*policyv1alpha1.ClusterImportPolicy, error) {
	objects, err := manifest.Read(files, stdin)
	if err != nil {
		return nil, err
	}
	return Policy(ctx, objects, strings.Join(files.Filenames, ", "))
}

// Policy is the only policy of objects that were read there. Other objects are left
// out.
func Policy(ctx context.Context, objects []*manifest.Object, there string) (*policyv1alpha1.ClusterImportPolicy, error) {
	found, err := policies(ctx, objects, there)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("%d policies in %s: give one", len(found), there)
	}
	return found[0], nil
}

func policies(ctx context.Context, objects []*manifest.Object, there string) (policies []*policyv1alpha1.ClusterImportPolicy, err error) {
	var findings Findings
	for _, object := range objects {
		if !IsPolicy(object) {
			continue
		}
		policy, found, _ := Check(ctx, object)
		policies = append(policies, policy)
		findings = append(findings, found...)
	}
	switch {
	case len(findings) > 0:
		return nil, findings
	case len(policies) == 0:
		return nil, fmt.Errorf("no ClusterImportPolicy in %s", there)
	}
	return policies, nil
}

// ReadObjects reads all objects of the files, as an API server would store them.
func ReadObjects(files resource.FilenameOptions, stdin io.Reader) ([]*unstructured.Unstructured, error) {
	objects, err := manifest.Read(files, stdin)
	if err != nil {
		return nil, err
	}
	return Objects(objects)
}

// Objects are the objects as an API server would store them.
func Objects(objects []*manifest.Object) ([]*unstructured.Unstructured, error) {
	stored := make([]*unstructured.Unstructured, len(objects))
	for i, object := range objects {
		manifest, err := object.Unstructured()
		if err != nil {
			return nil, err
		}
		stored[i] = asStored(manifest)
	}
	return stored, nil
}

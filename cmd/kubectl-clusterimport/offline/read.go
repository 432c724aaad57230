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
	var policies []*policyv1alpha1.ClusterImportPolicy
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
		return nil, fmt.Errorf("no ClusterImportPolicy in %s", strings.Join(files.Filenames, ", "))
	}
	return policies, nil
}

// ReadPolicy reads the policy of files that have only one.
func ReadPolicy(ctx context.Context, files resource.FilenameOptions, stdin io.Reader) (*policyv1alpha1.ClusterImportPolicy, error) {
	policies, err := ReadPolicies(ctx, files, stdin)
	if err != nil {
		return nil, err
	}
	if len(policies) > 1 {
		return nil, fmt.Errorf("%d policies in %s: give one", len(policies), strings.Join(files.Filenames, ", "))
	}
	return policies[0], nil
}

// ReadObjects reads all objects of the files, as an API server would store them.
func ReadObjects(files resource.FilenameOptions, stdin io.Reader) ([]*unstructured.Unstructured, error) {
	objects, err := manifest.Read(files, stdin)
	if err != nil {
		return nil, err
	}
	read := make([]*unstructured.Unstructured, len(objects))
	for i, object := range objects {
		manifest, err := object.Unstructured()
		if err != nil {
			return nil, err
		}
		read[i] = asStored(manifest)
	}
	return read, nil
}

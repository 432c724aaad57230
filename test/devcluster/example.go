package devcluster

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// inCluster is the address of kube-apiserver in the manifests of the example, as
// pods reach it.
const inCluster = "https://kubernetes.default.svc"

// ProbeArgs are the flags of a server that asks the clusters of the example whether
// they answer: these are on loopback, which is denied by default.
var ProbeArgs = []string{"--probe-clusters", "--probe-denied-cidrs=169.254.0.0/16"}

// Resolved returns the objects of a manifest as JSON for kubectl. The cluster that
// is this host itself is reached on loopback: there are neither pods nor their DNS.
func (c *Cluster) Resolved(file string) ([]byte, error) {
	objects, err := ReadManifest(file)
	if err != nil {
		return nil, err
	}
	resolved := 0
	for _, object := range objects {
		path := []string{"spec", "apiEndpoint"}
		if endpoint, _, _ := unstructured.NestedString(object.Object, path...); endpoint == inCluster {
			if err := unstructured.SetNestedField(object.Object, c.Config().Host, path...); err != nil {
				return nil, err
			}
			resolved++
		}
	}
	if resolved != 1 {
		return nil, fmt.Errorf("%s has %d clusters with the address %s, not one", relative(file), resolved, inCluster)
	}
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}, Items: objects}
	return json.Marshal(list.UnstructuredContent())
}

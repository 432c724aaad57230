package render_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

const examplePolicy = `
source: {group: cluster.mcp.io, resource: clusters}
references:
- {key: auth, resource: secrets, namespaceTemplate: mcp-system, nameTemplate: "{{ .source.metadata.name }}-auth"}
nameTemplate: "mcp-{{ .source.metadata.name }}"
template: |
  spec:
    apiserver: "{{ .source.spec.endpoint }}"
    tokenData: "{{ .references.auth.data.token }}"
    syncResources:
    - {group: "", resources: [pods]}
creationCondition: "{{ .source.status.ready }}"
`

const exampleSource = `
apiVersion: cluster.mcp.io/v1
kind: Cluster
metadata: {name: amsterdam}
spec: {endpoint: "https://amsterdam.example.com:6443"}
status: {ready: true}
`

const exampleSecret = `
apiVersion: v1
kind: Secret
metadata: {namespace: mcp-system, name: amsterdam-auth}
data: {token: YSB0b2tlbg==}
`

func spec(text string) *policyv1alpha1.ClusterImportPolicySpec {
	var spec policyv1alpha1.ClusterImportPolicySpec
	if err := yaml.Unmarshal([]byte(text), &spec); err != nil {
		panic(err)
	}
	return &spec
}

func object(text string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		panic(err)
	}
	return object
}

// A policy is compiled once. All its mistakes are returned together, with their places.
func ExampleCompile() {
	policy := spec(examplePolicy)
	policy.NameTemplate = "mcp-{{ .source.metadata.name | lowr }}"
	policy.CreationCondition = "{{ if .references.secret }}true{{ end }}"
	_, errs := render.Compile(policy)
	for _, err := range errs {
		fmt.Println(err.Field, err.Detail)
	}
	// Output:
	// spec.nameTemplate line 1, column 32: lowr: there is no function "lowr"; did you mean "lower"?
	// spec.creationCondition line 1, column 7: .references.secret: no reference with key "secret" can be used here; there are: auth
}

// What a policy makes of a Source: the references are found, the conditions evaluated,
// and the PediaCluster is rendered.
func ExamplePolicy_Convert() {
	policy, errs := render.Compile(spec(examplePolicy))
	if len(errs) > 0 {
		panic(errs.ToAggregate())
	}
	source := object(exampleSource)
	name, err := policy.Name(source)
	if err != nil {
		panic(err)
	}
	conversion := policy.Convert(render.Inputs{
		Name:     name,
		Source:   source,
		Versions: []string{"v1"},
		Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			fmt.Println("looked up:", render.Describe(target))
			return object(exampleSecret), nil
		},
	})
	text, err := yaml.Marshal(conversion.PediaCluster)
	if err != nil {
		panic(err)
	}
	fmt.Println("create it:", conversion.CreationCondition.Holds)
	fmt.Print(string(text))
	// Output:
	// looked up: secrets "mcp-system/amsterdam-auth"
	// create it: true
	// apiVersion: cluster.clusterpedia.io/v1alpha2
	// kind: PediaCluster
	// metadata:
	//   name: mcp-amsterdam
	// spec:
	//   apiserver: https://amsterdam.example.com:6443
	//   syncResources:
	//   - group: ""
	//     resources:
	//     - pods
	//   tokenData: YSB0b2tlbg==
}

// What is to be done about a PediaCluster that exists: its endpoint follows the
// Source, and what users have changed stays.
func ExampleConversion_Plan() {
	policy, errs := render.Compile(spec(examplePolicy))
	if len(errs) > 0 {
		panic(errs.ToAggregate())
	}
	conversion := policy.Convert(render.Inputs{
		Name:     "mcp-amsterdam",
		Source:   object(exampleSource),
		Versions: []string{"v1"},
		Given:    map[string]*unstructured.Unstructured{"auth": object(exampleSecret)},
	})
	owner := render.Owner{
		Policy: "mcp",
		Source: policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: "amsterdam"},
	}
	current := object(`
apiVersion: cluster.clusterpedia.io/v1alpha2
kind: PediaCluster
metadata:
  name: mcp-amsterdam
  uid: 3f1c0c6e
  resourceVersion: "7"
  annotations: {policy.clusterpedia.io/created-for: mcp/clusters.cluster.mcp.io//amsterdam}
spec:
  apiserver: https://10.0.0.1:6443
  tokenData: YSB0b2tlbg==
  syncResources: []
`)
	for _, live := range []*unstructured.Unstructured{nil, current} {
		plan := conversion.Plan(owner, live, nil)
		fmt.Println(plan.Action, plan.Changed)
	}
	// Output:
	// Create []
	// Update [spec.apiserver]
}

// A preview calls what the controllers call, and says why nothing is done yet.
func ExamplePolicy_Review() {
	policy, errs := render.Compile(spec(examplePolicy))
	if len(errs) > 0 {
		panic(errs.ToAggregate())
	}
	result := policy.Review(render.ReviewInputs{
		PolicyName: "mcp",
		SourceType: policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters"},
		Source:     object(exampleSource),
		Versions:   []string{"v1"},
		Lookup: func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			return nil, nil // the Secret does not exist
		},
	})
	fmt.Println(result.Action, result.Name, result.Reason)
	fmt.Println(result.Message)
	// Output:
	// Wait mcp-amsterdam WaitingForReference
	// reference "auth": secrets "mcp-system/amsterdam-auth" does not exist
}

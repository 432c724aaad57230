// Package v1alpha1 is the published version of the policy.clusterpedia.io API.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy
// +k8s:defaulter-gen=TypeMeta
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.clusterpedia.policy.v1alpha1
// +groupName=policy.clusterpedia.io
package v1alpha1

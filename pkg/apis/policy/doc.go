// Package policy holds the internal version of the policy.clusterpedia.io API:
// the form in which the server works with its objects. Everything outside
// pkg/apis, pkg/registry and pkg/apiserver uses a versioned package.
//
// +k8s:deepcopy-gen=package
// +groupName=policy.clusterpedia.io
package policy

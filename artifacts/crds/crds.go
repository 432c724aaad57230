// Package crds holds the definition of PediaClusters that this project ships, for hosts
// without Clusterpedia and for checks without a host.
package crds

import _ "embed" // for the definition

// PediaClusters is the CustomResourceDefinition of PediaClusters, as YAML. Its schema is
// that of Clusterpedia.
//
//go:embed pediaclusters.yaml
var PediaClusters []byte

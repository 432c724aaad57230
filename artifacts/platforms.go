// Package artifacts holds the policies that this project ships, for examples without a
// download.
package artifacts

import "embed"

// Platforms are the policies of the platforms, with their tests and the definitions of
// their types.
//
//go:embed platforms/*/policy.yaml platforms/*/tests platforms/*/example/crd.yaml
var Platforms embed.FS

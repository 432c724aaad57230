// Package fuzzer fills policy.clusterpedia.io objects for round-trip tests.
package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// Funcs fill the fields that defaulting would change with what it would set.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		func(conversion *policy.Conversion, c randfill.Continue) {
			c.FillNoCustom(conversion)
			if conversion.DeletionPolicy == "" {
				conversion.DeletionPolicy = policy.DeletionPolicyDelete
			}
		},
	}
}

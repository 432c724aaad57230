// Package fuzzer fills policy.clusterpedia.io objects for round-trip tests.
package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// Funcs fill the fields that defaulting would change with what it would set.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		func(spec *policy.ClusterImportPolicySpec, c randfill.Continue) {
			c.FillNoCustom(spec)
			share := intstr.FromString("7%")
			if c.Bool() {
				share = intstr.FromInt32(c.Int31())
			}
			spec.MaxPrune = &share
			c.Fill(&spec.Conversion)
		},
		func(rollout *policy.Rollout, c randfill.Continue) {
			c.FillNoCustom(rollout)
			share := intstr.FromString("7%")
			rollout.MaxConcurrent, rollout.MaxFailures = &share, &share
			rollout.MinReadySeconds, rollout.Timeout = ptr.To(c.Int31()), ptr.To("7m")
			if rollout.Verify == "" {
				rollout.Verify = policy.VerifyClusterReady
			}
		},
		func(conversion *policy.Conversion, c randfill.Continue) {
			c.FillNoCustom(conversion)
			if conversion.DeletionPolicy == "" {
				conversion.DeletionPolicy = policy.DeletionPolicyDelete
			}
		},
	}
}

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_ClusterImportPolicySpec fills in how many PediaClusters may be
// removed in a short time.
func SetDefaults_ClusterImportPolicySpec(spec *ClusterImportPolicySpec) {
	if spec.MaxPrune == nil {
		tenth := intstr.FromString("10%")
		spec.MaxPrune = &tenth
	}
}

// SetDefaults_Rollout fills in how fast a rollout goes and when it halts.
func SetDefaults_Rollout(rollout *Rollout) {
	if rollout.MaxConcurrent == nil {
		rollout.MaxConcurrent = ptr.To(intstr.FromString("10%"))
	}
	if rollout.Verify == "" {
		rollout.Verify = VerifyWritten
	}
	if rollout.MinReadySeconds == nil {
		rollout.MinReadySeconds = ptr.To[int32](30)
	}
	if rollout.Timeout == nil {
		rollout.Timeout = ptr.To("5m")
	}
	if rollout.MaxFailures == nil {
		rollout.MaxFailures = ptr.To(intstr.FromString("1%"))
	}
}

// SetDefaults_Conversion fills in what happens to PediaClusters whose Source
// or policy goes.
func SetDefaults_Conversion(conversion *Conversion) {
	if conversion.DeletionPolicy == "" {
		conversion.DeletionPolicy = DeletionPolicyDelete
	}
}

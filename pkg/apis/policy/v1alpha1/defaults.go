package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// SetDefaults_Conversion fills in what happens to PediaClusters whose Source
// or policy goes.
func SetDefaults_Conversion(conversion *Conversion) {
	if conversion.DeletionPolicy == "" {
		conversion.DeletionPolicy = DeletionPolicyDelete
	}
}

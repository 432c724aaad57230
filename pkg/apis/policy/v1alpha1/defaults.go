package v1alpha1

import "k8s.io/apimachinery/pkg/runtime"

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_Conversion fills in what happens to PediaClusters whose Source
// or policy goes.
func SetDefaults_Conversion(conversion *Conversion) {
	if conversion.DeletionPolicy == "" {
		conversion.DeletionPolicy = DeletionPolicyDelete
	}
}

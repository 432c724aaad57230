package storageguard

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
)

// The error of strip is logged, and shown by requests as long as the storage is not served.
func TestAnOwnerThatCannotBeRemovedShowsNoValue(t *testing.T) {
	host := metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme())
	host.PrependReactor("patch", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, &apierrors.StatusError{ErrStatus: metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden,
			Message: `admission webhook "guard.example.com" denied the request: tokenData is s3cret`}}
	})
	lost := pediaCluster("z")
	lost.Name = "one"
	err := (&Guard{metadata: host}).strip(t.Context(), &facts{}, []*metav1.PartialObjectMetadata{&lost})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error is: %v", err)
	}
	if !strings.Contains(err.Error(), `PediaCluster "one"`) || !strings.Contains(err.Error(), "guard.example.com") {
		t.Errorf("what has to be done cannot be told from: %v", err)
	}
}

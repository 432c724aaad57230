package integration

import (
	"context"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
)

// What the API has answered is there after a restart, and so is what the
// controllers wrote when they were told to stop.
func TestAShutdownLosesNothing(t *testing.T) {
	dir := t.TempDir()
	var lastWrite error
	controllers := func(ctx context.Context, own apiserver.Own) {
		<-ctx.Done()
		client, err := versioned.NewForConfig(own.Loopback)
		if err != nil {
			lastWrite = err
			return
		}
		_, lastWrite = client.PolicyV1alpha1().PediaClusterLifecycles().Create(
			context.WithoutCancel(ctx), newLifecycle("last", "mcp", "a"), metav1.CreateOptions{})
	}
	first, stop, err := start(dir, controllers)
	if err != nil {
		t.Fatal(err)
	}
	created, err := clientFor(t, first.as("jane")).ClusterImportPolicies().Create(t.Context(), newPolicy("kept"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if lastWrite != nil {
		t.Fatalf("the controllers were cut off: %v", lastWrite)
	}

	second, stop, err := start(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	kept, err := clientFor(t, second.as("jane")).ClusterImportPolicies().Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil || kept.ResourceVersion != created.ResourceVersion {
		t.Errorf("the policy: %v, %v", kept, err)
	}
	if _, err := clientFor(t, second.as("jane")).PediaClusterLifecycles().Get(t.Context(), "last", metav1.GetOptions{}); err != nil {
		t.Errorf("the last write: %v", err)
	}

	// Here, since the metrics of storage are those of the last server started.
	client, err := rest.HTTPClientFor(second.loopback)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		response, err := client.Get(second.loopback.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

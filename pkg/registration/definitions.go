package registration

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// WarnOfDefinitions logs when the host has CustomResourceDefinitions of the group
// beside the APIService of a server, as an upgrade of Clusterpedia may bring them
// back, until ctx ends. The host does not serve them while the APIService is there.
func WarnOfDefinitions(ctx context.Context, client dynamic.Interface) {
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	apiService := follow(ctx, client, apiServices, metav1.NamespaceAll, apiServiceName, change)
	stores := map[string]cache.Store{}
	for _, name := range definitions {
		stores[name] = follow(ctx, client, customResourceDefinitions, metav1.NamespaceAll, name, change)
	}
	var warned []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		var there []string
		for _, name := range definitions {
			if len(stores[name].ListKeys()) > 0 && ledToAServer(apiService) {
				there = append(there, name)
			}
		}
		if !slices.Equal(there, warned) {
			logDefinitions(ctx, there)
			warned = there
		}
	}
}

// ledToAServer reports whether the host hands requests for the group to a server.
func ledToAServer(apiService cache.Store) bool {
	for _, object := range apiService.List() {
		service, _, _ := unstructured.NestedMap(object.(*unstructured.Unstructured).Object, "spec", "service")
		return service != nil
	}
	return false
}

func logDefinitions(ctx context.Context, there []string) {
	logger := klog.FromContext(ctx).WithValues("apiService", apiServiceName)
	if len(there) == 0 {
		logger.Info("The host no longer has CustomResourceDefinitions of the group")
		return
	}
	logger.Error(nil, "The host has CustomResourceDefinitions of the group that this server is registered for: do not delete the APIService "+
		"while they exist, or the host serves the group from them, and its garbage collector deletes PediaClusters. "+
		"see \"CRDs on a host with this server\" in docs/migration.md", "definitions", there)
}

// follow watches an object until ctx ends, and calls changed after each change.
func follow(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, namespace, name string, changed func()) cache.Store {
	informer := dynamicinformer.NewFilteredDynamicInformer(client, resource, namespace, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}).Informer()
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only once it is stopped
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	go informer.RunWithContext(ctx)
	return informer.GetStore()
}

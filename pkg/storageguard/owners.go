package storageguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/clusterpedia-io/policy-apiserver/pkg/hosterrors"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

const (
	pageSize     = 1000
	stripsAtOnce = 16
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// gather lists lifecycles after PediaClusters: of a PediaCluster in the first
// list, the lifecycle is in the second, unless both have gone.
func (g *Guard) gather(ctx context.Context) (f *facts, record *corev1.ConfigMap, err error) {
	f = &facts{}
	system, err := g.kubernetes.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the identity of the host: %w", err)
	}
	f.host = system.UID
	if record, err = g.readRecord(ctx); err != nil {
		return nil, nil, err
	}
	f.recorded, f.kind = recorded(record), g.config.kind()
	if record != nil {
		f.recordedKind = record.Data[kindKey]
	}
	var revision uint64
	if f.storage, f.boundTo, revision, err = g.storage.Get(ctx); err != nil {
		return nil, nil, err
	}
	if err := g.same(f.storage, revision); err != nil {
		return nil, nil, err
	}
	f.accepted = g.config.Accept != "" && g.config.Accept == f.storage
	f.replaced = slices.Contains(former(record), string(f.storage))
	if f.pediaClusters, err = g.listOurs(ctx); err != nil {
		return nil, nil, err
	}
	if f.lifecycles, err = g.storage.Lifecycles(ctx); err != nil {
		return nil, nil, fmt.Errorf("listing the lifecycles in storage: %w", err)
	}
	return f, record, nil
}

// listOurs lists the PediaClusters that were made for an import. There are none
// on a host that is known not to have the type.
func (g *Guard) listOurs(ctx context.Context) (ours []metav1.PartialObjectMetadata, err error) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := g.metadata.Resource(render.PediaClusterGVR).List(ctx, options)
		if apierrors.IsNotFound(err) {
			_, definitionErr := g.metadata.Resource(definitions).Get(ctx, render.PediaClusterGVR.GroupResource().String(), metav1.GetOptions{})
			if apierrors.IsNotFound(definitionErr) {
				return nil, nil
			}
			err = errors.Join(fmt.Errorf("the host has the type and does not serve %s of it: %w", render.PediaClusterGVR.GroupVersion(), err), definitionErr)
		}
		if err != nil {
			return nil, fmt.Errorf("listing the PediaClusters of the host: %w", err)
		}
		for i := range page.Items {
			if isOurs(&page.Items[i]) {
				ours = append(ours, page.Items[i])
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return ours, nil
		}
	}
}

// strip takes the owners that storage lacks off the PediaClusters. Their mark
// stays, by which they are taken up again.
func (g *Guard) strip(ctx context.Context, f *facts, dangling []*metav1.PartialObjectMetadata) error {
	var failed atomic.Int64
	var first atomic.Pointer[error]
	workqueue.ParallelizeUntil(ctx, stripsAtOnce, len(dangling), func(i int) {
		if err := g.stripOne(ctx, dangling[i], f); err != nil {
			failed.Add(1)
			err = fmt.Errorf("PediaCluster %q: %w", dangling[i].Name, err)
			first.CompareAndSwap(nil, &err)
		}
	})
	if ctx.Err() != nil {
		return fmt.Errorf("removing lost owners from PediaClusters: %w", ctx.Err())
	}
	if err := first.Load(); err != nil {
		return fmt.Errorf("%d of %d PediaClusters have owners that this storage does not have, which could not be removed; the host would delete them. "+
			"If this error persists, remove their metadata.ownerReferences manually. The first is %w", failed.Load(), len(dangling), *err)
	}
	klog.FromContext(ctx).Info("PediaClusters had owners that this storage does not have: they are kept, and adopted again by their policies",
		"pediaClusters", len(dangling))
	return nil
}

func (g *Guard) stripOne(ctx context.Context, pediaCluster *metav1.PartialObjectMetadata, f *facts) error {
	kept := slices.DeleteFunc(slices.Clone(pediaCluster.OwnerReferences), f.lost)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pediaCluster.UID, "resourceVersion": pediaCluster.ResourceVersion, "ownerReferences": kept,
	}})
	if err != nil {
		return err
	}
	_, err = g.metadata.Resource(render.PediaClusterGVR).Patch(ctx, pediaCluster.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another look tells
	}
	return hosterrors.Redact(err)
}

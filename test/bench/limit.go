package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// limitClient does what the server does on the host, and nothing else: it has no
// policy, no templates, no lifecycles and no storage. It works from informers, as
// a controller must, with as many workers as the server has by default. What it
// takes is what the host takes for the work: the limit.
//
// Its requests are counted in the phases like those of the server.
type limitClient struct {
	*fleet
	host                   dynamic.Interface
	informers              dynamicinformer.DynamicSharedInformerFactory
	sources, pediaClusters cache.Store
	// deletedSources are the names of Sources that the informer has seen being
	// deleted. It has room for all of them, so that the event handler never waits.
	deletedSources chan string
}

// newLimitClient returns a client that has not asked for anything yet.
func newLimitClient(f *fleet) (*limitClient, error) {
	config := f.Config()
	config.Dial = new(net.Dialer).DialContext // a connection of its own, as the server has
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := &limitClient{
		fleet:          f,
		host:           client,
		informers:      dynamicinformer.NewDynamicSharedInformerFactory(client, 0),
		deletedSources: make(chan string, len(f.clusters)),
	}
	clusters, imported := c.informers.ForResource(sources).Informer(), c.informers.ForResource(pediaClusters).Informer()
	c.sources, c.pediaClusters = clusters.GetStore(), imported.GetStore()
	_, err = clusters.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
		if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
			c.deletedSources <- name.Name
		}
	}})
	return c, errors.Join(err, clusters.SetTransform(withoutManagedFields), imported.SetTransform(withoutManagedFields))
}

func withoutManagedFields(object any) (any, error) {
	if object, ok := object.(*unstructured.Unstructured); ok { // no tombstone
		object.SetManagedFields(nil)
	}
	return object, nil
}

// start lists Sources and PediaClusters, and watches them until the context ends.
func (c *limitClient) start(ctx context.Context) error {
	c.informers.Start(ctx.Done())
	for resource, synced := range c.informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("the %s could not be listed", resource.Resource)
		}
	}
	return nil
}

// forEachSource works on every Source that the informer holds.
func (c *limitClient) forEachSource(ctx context.Context, work func(context.Context, *unstructured.Unstructured) error) error {
	return forEach(ctx, c.sources.List(), func(ctx context.Context, source any) error {
		return work(ctx, source.(*unstructured.Unstructured))
	})
}

// importSource creates the PediaCluster of a Source.
func (c *limitClient) importSource(ctx context.Context, source *unstructured.Unstructured) error {
	read, err := c.read(ctx, source)
	if err != nil {
		return err
	}
	_, err = c.host.Resource(pediaClusters).Create(ctx, c.bare(read), metav1.CreateOptions{})
	return err
}

// updateSource writes what a PediaCluster follows of its Source.
func (c *limitClient) updateSource(ctx context.Context, source *unstructured.Unstructured) error {
	read, err := c.read(ctx, source)
	if err != nil {
		return err
	}
	current, err := c.held(read.pediaCluster())
	if err != nil {
		return err
	}
	return mergePatch(ctx, c.host.Resource(pediaClusters), current.GetName(), c.guardedUpdate(read, current))
}

// removeDeleted deletes the PediaClusters of so many Sources, as soon as it sees
// that a Source was deleted.
func (c *limitClient) removeDeleted(ctx context.Context, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var err error
	for i := 0; i < count && err == nil; i++ {
		select {
		case name := <-c.deletedSources:
			group.Go(func() error { return c.remove(ctx, &cluster{name: name}) })
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(stall):
			err = fmt.Errorf("%d of %d deletions of Sources were seen, and none more for %s", i, count, stall)
		}
	}
	// An error of the work comes first: the context has ended because of it.
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// remove deletes the PediaCluster of a cluster in the version that the informer holds.
func (c *limitClient) remove(ctx context.Context, removed *cluster) error {
	current, err := c.held(removed.pediaCluster())
	if err != nil {
		return err
	}
	uid, version := current.GetUID(), current.GetResourceVersion()
	return c.host.Resource(pediaClusters).Delete(ctx, current.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
}

// read returns what a Source and its Secret say of a cluster. The Secret is read
// from the host: a controller does not hold all Secrets of a host.
func (c *limitClient) read(ctx context.Context, source *unstructured.Unstructured) (*cluster, error) {
	namespace, _, _ := unstructured.NestedString(source.Object, "spec", "authSecretRef", "namespace")
	name, _, _ := unstructured.NestedString(source.Object, "spec", "authSecretRef", "name")
	secret, err := c.host.Resource(secrets).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return clusterOf(source, secret), nil
}

// held returns the PediaCluster that the informer holds.
func (c *limitClient) held(name string) (*unstructured.Unstructured, error) {
	object, found, err := c.pediaClusters.GetByKey(name)
	if err == nil && !found {
		err = fmt.Errorf("the informer does not hold the PediaCluster %s", name)
	}
	if err != nil {
		return nil, err
	}
	return object.(*unstructured.Unstructured), nil
}

// hasCaughtUp tells whether the informer holds every PediaCluster as it should be.
func (c *limitClient) hasCaughtUp() (bool, error) {
	objects := c.pediaClusters.List()
	for _, object := range objects {
		if !c.right(watch.Modified, object.(*unstructured.Unstructured)) {
			return false, nil
		}
	}
	return len(objects) == len(c.clusters), nil
}

// clusterOf is a cluster as the policy of the example reads it from a Source and
// its Secret.
func clusterOf(source, secret *unstructured.Unstructured) *cluster {
	c := &cluster{name: source.GetName()}
	c.endpoint, _, _ = unstructured.NestedString(source.Object, "spec", "apiEndpoint")
	c.caData, _, _ = unstructured.NestedString(secret.Object, "data", "ca")
	c.tokenData, _, _ = unstructured.NestedString(secret.Object, "data", "token")
	return c
}

// guardedUpdate is the patch with which the server updates a PediaCluster: all that
// follows the template, written only to the version that it was made from.
func (f *fleet) guardedUpdate(c *cluster, current *unstructured.Unstructured) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"uid": string(current.GetUID()), "resourceVersion": current.GetResourceVersion()},
		"spec":     followed(c, f.suffix),
	}
}

// limitPhases measures what the host takes for the work of the server, which does
// not run yet: the same imports, the same edit and the same removals, beside the
// same garbage collector and by the same clock. The Sources are gone at its end.
func (b *bench) limitPhases(ctx context.Context) error {
	client, err := newLimitClient(b.fleet)
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	defer client.informers.Shutdown() // waits until they have stopped
	defer cancel()

	if err := b.limitPhase(ctx, client, limitImport, b.right, func(*phase) error {
		if err := client.start(running); err != nil {
			return err
		}
		return client.forEachSource(ctx, client.importSource)
	}); err != nil {
		return err
	}
	b.suffix = editedSuffix
	if err := b.limitPhase(ctx, client, limitEdit, b.right, func(*phase) error {
		return client.forEachSource(ctx, client.updateSource)
	}); err != nil {
		return err
	}
	if err := b.limitPhase(ctx, client, limitDelete, deleted, func(p *phase) error {
		all := b.all()
		b.clusters = map[string]*cluster{}
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return b.deleteSources(ctx, p, all) })
		group.Go(func() error { return client.removeDeleted(ctx, len(all)) })
		return group.Wait()
	}); err != nil {
		return err
	}
	b.suffix = ""
	return nil
}

// limitPhase measures a change of the whole fleet that the client makes, in one write
// for each PediaCluster. Then it compares them all, and waits until the client's
// informer has seen them too: the next phase begins with what it holds.
func (b *bench) limitPhase(ctx context.Context, client *limitClient, name string,
	matches func(watch.EventType, *unstructured.Unstructured) bool, change func(*phase) error) error {
	if err := b.follow(ctx, name, quiet, matches, change); err != nil {
		return err
	}
	if count := writes(b.run.phase(name).Requests, pediaClusters.Resource); count != b.run.Clusters {
		return fmt.Errorf("%s: %d writes for %d PediaClusters: the limit takes more than the work", name, count, b.run.Clusters)
	}
	progress("  comparing %d PediaClusters", len(b.clusters))
	if err := b.compareBare(ctx); err != nil {
		return err
	}
	return poll(ctx, client.hasCaughtUp)
}

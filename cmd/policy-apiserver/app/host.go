package app

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	mutatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// hostTimeout bounds one request of the start to the host.
const hostTimeout = 10 * time.Second

// hostBackoff is how long the start waits between its attempts.
var hostBackoff = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 6, Cap: 30 * time.Second}

// awaitHost returns when the host answers all that the start needs of it, and
// turns off what it does not have. The generic server would give up at the
// first request that fails.
func awaitHost(ctx context.Context, config *rest.Config, o *Options) error {
	config = rest.CopyConfig(config)
	config.Timeout = hostTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("a client for the host cluster: %w", err)
	}

	logger := klog.FromContext(ctx)
	backoff := hostBackoff
	for {
		err := prepareFor(ctx, client, o)
		if err == nil {
			return nil
		}
		delay := backoff.Step()
		logger.Error(err, "The host cluster does not answer yet, trying again", "host", config.Host, "in", delay.Round(time.Second))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// prepareFor fits the options to the host.
func prepareFor(ctx context.Context, client kubernetes.Interface, o *Options) error {
	authentication := o.Recommended.Authentication
	if authentication.RequestHeader.ClientCAFile == "" && !authentication.SkipInClusterLookup && !authentication.TolerateInClusterLookupFailure {
		// Delegated authentication takes from here whom the aggregator speaks for.
		const namespace, name, key = metav1.NamespaceSystem, "extension-apiserver-authentication", "requestheader-client-ca-file"
		configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the ConfigMap %s/%s: %w", namespace, name, err)
		}
		if configMap.Data[key] == "" {
			return fmt.Errorf("the ConfigMap %s/%s has no %s: the host's kube-apiserver runs without aggregation", namespace, name, key)
		}
	}

	admission := o.Recommended.Admission
	for plugin, resource := range map[string]string{
		mutatingadmissionpolicy.PluginName:   "mutatingadmissionpolicies",
		validatingadmissionpolicy.PluginName: "validatingadmissionpolicies",
	} {
		served, err := serves(client.Discovery(), "admissionregistration.k8s.io/v1", resource)
		if err != nil {
			return err
		}
		if !served {
			klog.FromContext(ctx).Info("The host does not serve what an admission plugin needs: the plugin is off", "plugin", plugin, "resource", resource)
			admission.DefaultOffPlugins.Insert(plugin)
		}
	}

	served, err := serves(client.Discovery(), "flowcontrol.apiserver.k8s.io/v1", "flowschemas")
	if err != nil {
		return err
	}
	if !served && o.Recommended.Features.EnablePriorityAndFairness {
		klog.FromContext(ctx).Info("The host does not serve flow schemas: priority and fairness is off")
		o.Recommended.Features.EnablePriorityAndFairness = false
	}
	return nil
}

// serves reports whether the host serves the resource.
func serves(client discovery.DiscoveryInterface, groupVersion, resource string) (bool, error) {
	list, err := client.ServerResourcesForGroupVersion(groupVersion)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("discovering %s: %w", groupVersion, err)
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == resource {
			return true, nil
		}
	}
	return false, nil
}

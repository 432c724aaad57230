package decision

import (
	"cmp"
	"encoding/base64"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// maxCause bounds what a lifecycle repeats of a message of Clusterpedia.
const maxCause = 256

// pediaReady is Clusterpedia's summary of the other conditions of a PediaCluster.
const pediaReady = "Ready"

// pediaCauses are the conditions that say why a PediaCluster is not ready, in the order in
// which Clusterpedia asks them. The summary only names the first that is not true.
var pediaCauses = []string{"Validated", "SynchroRunning", "ClusterHealthy", pediaReady}

// clusterState is what Clusterpedia says of the cluster, and where it says nothing, what the
// cluster itself has answered.
func clusterState(pediaCluster *unstructured.Unstructured, answer *policyv1alpha1.ClusterState) *policyv1alpha1.ClusterState {
	if pediaCluster == nil {
		return nil
	}
	state := &policyv1alpha1.ClusterState{}
	state.Version, _, _ = unstructured.NestedString(pediaCluster.Object, "status", "version")
	state.APIServer, _, _ = unstructured.NestedString(pediaCluster.Object, "status", "apiserver")
	if state.APIServer == "" {
		state.APIServer, _, _ = unstructured.NestedString(pediaCluster.Object, "spec", "apiserver")
	}
	conditions := pediaConditions(pediaCluster)
	state.Ready = conditions[pediaReady].status
	switch {
	case state.Ready == "" && answer != nil:
		state.Ready, state.Message = answer.Ready, answer.Message
		state.Version = cmp.Or(state.Version, answer.Version)
		state.APIServer = cmp.Or(state.APIServer, answer.APIServer)
	case state.Ready == "False" || state.Ready == "Unknown":
		state.Message = render.Bounded(withoutCredentials(notReady(conditions), pediaCluster), maxCause)
	}
	return state
}

type pediaCondition struct{ status, reason, message string }

func pediaConditions(pediaCluster *unstructured.Unstructured) map[string]pediaCondition {
	list, _, _ := unstructured.NestedSlice(pediaCluster.Object, "status", "conditions")
	conditions := map[string]pediaCondition{}
	for _, item := range list {
		item, _ := item.(map[string]any)
		text := func(field string) string { text, _ := item[field].(string); return text }
		conditions[text("type")] = pediaCondition{text("status"), text("reason"), text("message")}
	}
	return conditions
}

// notReady is why Clusterpedia says that a cluster is not ready.
func notReady(conditions map[string]pediaCondition) string {
	for _, name := range pediaCauses {
		condition, ok := conditions[name]
		if !ok || condition.status == "True" {
			continue
		}
		if cause := cmp.Or(condition.message, condition.reason); cause != "" {
			return name + ": " + localPort.ReplaceAllString(cause, "->")
		}
	}
	return ""
}

// localPort is that of a connection in an error of package net. It is another one each
// time, for the same cause.
var localPort = regexp.MustCompile(`:[0-9]+->`)

// withoutCredentials is the text without what the PediaCluster logs in with: whoever may read a
// lifecycle may not always read that.
func withoutCredentials(text string, pediaCluster *unstructured.Unstructured) string {
	if text == "" {
		return text
	}
	data := func(field string) (encoded, decoded string) {
		encoded, _, _ = unstructured.NestedString(pediaCluster.Object, "spec", field)
		raw, _ := base64.StdEncoding.DecodeString(encoded)
		return encoded, string(raw)
	}
	encoded, token := data("tokenData")
	secrets := []string{encoded, token}
	if _, config := data("kubeconfig"); config != "" {
		if kubeconfig, err := render.ParseKubeconfig([]byte(config)); err == nil {
			secrets = append(secrets, kubeconfig.Token, kubeconfig.Password)
		}
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// waitForCluster waits until the lifecycle of a cluster shows this of it.
func (p *platform) waitForCluster(t *testing.T, cluster, ready, version, message string) {
	t.Helper()
	eventually(t, "the lifecycle of "+cluster+" shows whether it answers", func() error {
		lifecycle, err := p.lifecycle(t.Context(), cluster)
		if err != nil {
			return err
		}
		state := policyv1alpha1.ClusterState{}
		if lifecycle.Status.Cluster != nil {
			state = *lifecycle.Status.Cluster
		}
		return errors.Join(same("ready", state.Ready, ready), same("version", state.Version, version),
			mentions(state.Message, message))
	})
}

func TestClustersAreAskedWhetherTheyAnswer(t *testing.T) {
	// The clusters of other tests are nowhere: this one has a host of its own. The
	// cluster that answers is that host, on loopback, which is denied by default.
	h := ownHost(t, "--probe-clusters", "--probe-denied-cidrs=169.254.0.0/16")
	p := h.installPlatform(t, "probed")
	var version struct{ GitVersion string }
	must(t, json.Unmarshal([]byte(h.kubectl(t, "get", "--raw", "/version")), &version))
	token := strings.TrimSpace(h.kubectl(t, "create", "token", "default", "--namespace=default"))
	config := h.Config()
	authority, err := os.ReadFile(config.CAFile)
	must(t, err)
	reach := func(cluster, endpoint, token string) {
		t.Helper()
		secret, err := json.Marshal(map[string]any{"data": map[string][]byte{"ca": authority, "token": []byte(token)}})
		must(t, err)
		p.patch(t, p.objects.Resource(secrets).Namespace(p.name), cluster+"-auth", string(secret))
		p.patch(t, p.objects.Resource(p.resource), cluster, `{"spec":{"apiEndpoint":"`+endpoint+`"}}`)
	}

	must(t, p.createCluster(t.Context(), "answers", "unused", true))
	reach("answers", config.Host, token)
	p.waitForCluster(t, "answers", "True", version.GitVersion, "")
	contains(t, h.kubectl(t, "get", "pcl", "probed-answers", "-o", "wide", "--no-headers"), "True", version.GitVersion, config.Host)

	must(t, p.createCluster(t.Context(), "metadata", "unused", true))
	reach("metadata", "https://169.254.169.254", token)
	p.waitForCluster(t, "metadata", "Unknown", "", "probe-denied-cidrs")

	// A credential that no longer holds shows, and so does its successor.
	reach("answers", config.Host, "wrong")
	p.waitForCluster(t, "answers", "False", version.GitVersion, "401")
	reach("answers", config.Host, token)
	p.waitForCluster(t, "answers", "True", version.GitVersion, "")

	// What Clusterpedia says goes first.
	p.kubectl(t, "patch", "pediacluster", "probed-answers", "--subresource=status", "--type=merge", "-p",
		`{"status":{"version":"v1.0.0","conditions":[{"type":"Ready","status":"False","reason":"Test","message":"test","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
	p.waitForCluster(t, "answers", "False", "v1.0.0", "")

	for _, cluster := range []string{"answers", "metadata"} {
		lifecycle, err := p.lifecycle(t.Context(), cluster)
		must(t, err)
		text, err := json.Marshal(lifecycle)
		must(t, err)
		for _, secret := range []string{token, base64.StdEncoding.EncodeToString([]byte(token))} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the lifecycle of %s shows its token", cluster)
			}
		}
	}
}

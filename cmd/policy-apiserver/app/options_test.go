package app

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// parse returns the options of a command line.
func parse(t *testing.T, args ...string) *Options {
	t.Helper()
	o := NewOptions()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFlagsWithoutEffectAreNotOffered(t *testing.T) {
	o := NewOptions()
	upstream := pflag.NewFlagSet("upstream", pflag.ContinueOnError)
	o.Recommended.Etcd.AddFlags(upstream)
	o.ServerRun.AddUniversalFlags(upstream)

	offered := pflag.NewFlagSet("offered", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		offered.AddFlagSet(set)
	}
	for _, name := range append(runFlagsWithoutEffect, etcdFlagsWithoutEffect...) {
		if upstream.Lookup(name) == nil {
			t.Errorf("--%s is no longer upstream: take it off the list", name)
		}
		if offered.Lookup(name) != nil {
			t.Errorf("--%s is offered", name)
		}
	}
	for _, name := range []string{"etcd-servers", "etcd-prefix", "kubeconfig", "embedded-etcd-dir", "secure-port", "audit-log-path", "v"} {
		if offered.Lookup(name) == nil {
			t.Errorf("--%s is missing", name)
		}
	}
}

func TestTheHostsKubeconfigServesForAllThatIsDelegated(t *testing.T) {
	o := parse(t, "--kubeconfig=host")
	if got := o.Recommended.Authentication.RemoteKubeConfigFile; got != "host" {
		t.Errorf("authentication is delegated to %q", got)
	}
	if got := o.Recommended.Authorization.RemoteKubeConfigFile; got != "host" {
		t.Errorf("authorization is delegated to %q", got)
	}
	o = parse(t, "--kubeconfig=host", "--authentication-kubeconfig=a", "--authorization-kubeconfig=b")
	if a, b := o.Recommended.Authentication.RemoteKubeConfigFile, o.Recommended.Authorization.RemoteKubeConfigFile; a != "a" || b != "b" {
		t.Errorf("what was given is replaced by %q and %q", a, b)
	}
}

func TestWrongFlagsAreToldAllAtOnce(t *testing.T) {
	if err := parse(t).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if err := parse(t, "--etcd-servers=http://127.0.0.1:2379", "--embedded-etcd-dir=").Validate(); err != nil {
		t.Errorf("an etcd of one's own: %v", err)
	}
	err := parse(t, "--embedded-etcd-dir=", "--embedded-etcd-quota-bytes=0", "--kube-api-qps=0", "--kube-api-burst=-1",
		"--secure-port=0", "--max-requests-inflight=-1").Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, flag := range []string{"--embedded-etcd-dir", "--embedded-etcd-quota-bytes", "--kube-api-qps", "--kube-api-burst",
		"--secure-port", "--max-requests-inflight"} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is not named in %v", flag, err)
		}
	}
}

func TestWithoutAHostTheFlagIsNamed(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := parse(t).hostConfig(); err == nil || !strings.Contains(err.Error(), "set --kubeconfig") {
		t.Errorf("%v", err)
	}
	if _, err := parse(t, "--kubeconfig=/does/not/exist").hostConfig(); err == nil || !strings.Contains(err.Error(), "--kubeconfig: stat /does/not/exist") {
		t.Errorf("%v", err)
	}
}

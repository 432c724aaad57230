package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/openapi"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/hostschemas"
)

// publishing is a host that publishes a schema of clusters, whose spec has these
// fields, all of them strings. Without fields it publishes none.
type publishing struct {
	mu     sync.Mutex
	fields []string
	err    error
}

func (p *publishing) publishes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fields
}

// publish has the host publish a schema with other fields.
func (p *publishing) publish(fields ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fields = fields
}

func (p *publishing) PathsWithContext(context.Context) (map[string]openapi.GroupVersionWithContext, error) {
	if len(p.publishes()) == 0 || p.err != nil {
		return nil, p.err
	}
	return map[string]openapi.GroupVersionWithContext{"apis/" + mcpClusters.GroupVersion().String(): p}, nil
}

func (p *publishing) SchemaWithContext(context.Context, string) ([]byte, error) {
	var fields []string
	for _, field := range p.publishes() {
		fields = append(fields, fmt.Sprintf(`%q: {"type": "string"}`, field))
	}
	return fmt.Appendf(nil, `{
		"paths": {"/apis/%s/%s/{name}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Cluster"}}}}}}}},
		"components": {"schemas": {"Cluster": {"type": "object", "properties": {"spec": {"type": "object", "properties": {%s}}}}}}
	}`, mcpClusters.GroupVersion(), mcpClusters.Resource, strings.Join(fields, ",")), nil
}

func (p *publishing) ServerRelativeURL() string {
	return "/openapi/v3/x?hash=" + strings.Join(p.publishes(), "-")
}

// fitting returns the state of a policy that reads .source.spec.apiEndpoint.
func fitting(t *testing.T) *policyState {
	t.Helper()
	state := stateOfOne(t, 1, "")
	state.policy.Spec.Template = `spec: {apiserver: "{{ .source.spec.apiEndpoint }}"}`
	state.source = servedtypes.Type{GroupVersionResource: mcpClusters}
	state.references = nil
	state.policy.Spec.References = nil
	if problem := state.compile(); problem != nil {
		t.Fatal(problem.message)
	}
	return state
}

func TestAPolicySaysWhetherItsTemplatesFit(t *testing.T) {
	host, state := &publishing{}, fitting(t)
	changes := 0
	f := newFits(func() map[string]*policyState { return map[string]*policyState{state.policy.Name: state} }, func(string) { changes++ })
	schemas := hostschemas.NewForClient(host)
	if f.of(state) != nil {
		t.Error("there is a condition before the first look")
	}
	want := 0
	for _, step := range []struct {
		name    string
		prepare func()
		status  metav1.ConditionStatus
		reason  string
		message string
		changes bool
	}{
		{"no schema", func() {}, metav1.ConditionUnknown, policyv1alpha1.ReasonTypesUnknown, "publishes no schema of", true},
		{"a schema with the field", func() { host.fields = []string{"apiEndpoint"} }, metav1.ConditionTrue, policyv1alpha1.ReasonTypesFit, "every field", true},
		{"the same", func() {}, metav1.ConditionTrue, policyv1alpha1.ReasonTypesFit, "", false},
		{"the field is renamed", func() { host.fields = []string{"endpoint"} }, metav1.ConditionFalse, policyv1alpha1.ReasonTypesDiffer,
			`spec.template: line 1, column 23: .source.spec.apiEndpoint: clusters.`, true},
		{"the host does not answer", func() { host.err = errors.New("out of order") }, metav1.ConditionUnknown, policyv1alpha1.ReasonTypesUnknown, "out of order", true},
		{"it answers again", func() { host.err = nil }, metav1.ConditionFalse, policyv1alpha1.ReasonTypesDiffer, `did you mean "endpoint"?`, true},
		{"the policy is corrected", func() {
			corrected := *state
			corrected.policy = state.policy.DeepCopy()
			corrected.policy.Spec.Template = `spec: {apiserver: "{{ .source.spec.endpoint }}"}`
			if problem := corrected.compile(); problem != nil {
				t.Fatal(problem.message)
			}
			state = &corrected
			if f.of(state) != nil {
				t.Error("the condition speaks of other templates")
			}
		}, metav1.ConditionTrue, policyv1alpha1.ReasonTypesFit, "", true},
		{"the type is not served", func() { state.source = servedtypes.Type{} }, metav1.ConditionUnknown, policyv1alpha1.ReasonTypesUnknown, "does not serve", true},
	} {
		step.prepare()
		f.checkAll(t.Context(), schemas)
		got := f.of(state)
		if got == nil || got.Status != step.status || got.Reason != step.reason || !strings.Contains(got.Message, step.message) {
			t.Errorf("%s: %+v", step.name, got)
		}
		if step.changes {
			want++
		}
		if changes != want {
			t.Errorf("%s: %d changes, not %d", step.name, changes, want)
			want = changes
		}
	}
}

func TestFindingsOfTheConditionAreBounded(t *testing.T) {
	host, state := &publishing{fields: []string{"x"}}, fitting(t)
	state.policy.Spec.Template = "{{ .source.spec.a }}{{ .source.spec.b }}{{ .source.spec.c }}{{ .source.spec.d }}{{ .source.spec.e }}"
	if problem := state.compile(); problem != nil {
		t.Fatal(problem.message)
	}
	f := newFits(func() map[string]*policyState { return map[string]*policyState{state.policy.Name: state} }, func(string) {})
	f.checkAll(t.Context(), hostschemas.NewForClient(host))
	if got := f.of(state); strings.Count(got.Message, "\n") != maxUnfit || !strings.HasSuffix(got.Message, "\nand 2 more") {
		t.Errorf("%s", got.Message)
	}
}

func TestTheFitOfAPolicyThatIsGoneIsForgotten(t *testing.T) {
	state := fitting(t)
	states := map[string]*policyState{state.policy.Name: state}
	f := newFits(func() map[string]*policyState { return states }, func(string) {})
	f.checkAll(t.Context(), hostschemas.NewForClient(&publishing{}))
	delete(states, state.policy.Name)
	f.checkAll(t.Context(), hostschemas.NewForClient(&publishing{}))
	if len(f.known) > 0 {
		t.Errorf("%d are known", len(f.known))
	}
}

func TestAChangeIsCheckedUntilTheHostHasPublishedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, state := &publishing{fields: []string{"apiEndpoint"}}, fitting(t)
		f := newFits(func() map[string]*policyState { return map[string]*policyState{state.policy.Name: state} }, func(string) {})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.run(ctx, hostschemas.NewForClient(host))
		}()
		time.Sleep(time.Hour)
		f.check()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		host.publish("endpoint") // the host takes its time
		synctest.Wait()
		time.Sleep(6 * time.Second)
		if got := f.of(state); got == nil || got.Reason != policyv1alpha1.ReasonTypesDiffer {
			t.Errorf("%+v", got)
		}
		cancel()
		<-ended
	})
}

// Package migrate moves a host from the CRDs of a Clusterpedia installation to
// the policy-apiserver, step by step. Each step finds out itself what is done
// already, so that a migration that was broken off goes on when it is run again.
// No step deletes or changes a PediaCluster, nor gives the host's garbage
// collector a reason to.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// pollPeriod is how often a wait looks again.
const pollPeriod = 500 * time.Millisecond

// resources are those of the group, owners first.
var resources = []string{"clusterimportpolicies", "pediaclusterlifecycles"}

// Config says what moves where.
type Config struct {
	// Kubernetes, Objects and Host lead to the host, with the rights of an administrator.
	Kubernetes Client
	Objects    dynamic.Interface
	Host       review.Host
	// Namespace, Service and Port are those of the policy-apiserver's Service.
	Namespace, Service string
	Port               int32
	// CABundle vouches for the server's certificate, in PEM. Empty takes it from
	// the Secret of a server that makes its own.
	CABundle []byte
	// Backup is the file that gets what the CRDs hold.
	Backup string
	// StopControllerManager scales Clusterpedia's controller-manager to zero
	// instead of refusing to go on while it runs.
	StopControllerManager bool
	// Timeout bounds each wait.
	Timeout time.Duration
	// Out is told what is done.
	Out io.Writer
	// Between, unless nil, is called after each step with its name. An error ends
	// the migration there.
	Between func(step string) error
}

// Migration is one attempt. Use New.
type Migration struct {
	Config
	// silent is when each Lease was last renewed of which nobody has gone on.
	silent map[types.UID]metav1.MicroTime
}

// New returns an attempt that has not begun.
func New(config Config) *Migration { return &Migration{config, map[types.UID]metav1.MicroTime{}} }

// step is one part of the migration.
type step struct {
	name string
	what string
	run  func(context.Context, *state) error
	// due reports whether there is anything left to do for it.
	due func(*state) bool
}

func (m *Migration) steps() []step {
	return []step{
		{"controller-manager", "Clusterpedia's controller-manager must not run", m.stopManagers, (*state).before},
		{"canaries", "Create objects that show later which server the garbage collector watches", m.plantCanaries, (*state).before},
		{"export", "Export the objects of the CRDs", m.export, (*state).before},
		{"finalizers", "Remove the finalizers of the CRDs' objects, which would block the removal of the CRDs", m.removeFinalizers, (*state).before},
		{"import", "The server imports the export", m.awaitImport, (*state).before},
		{"switch", fmt.Sprintf("Point %s to the server", policyv1alpha1.SchemeGroupVersion), m.switchOver, (*state).before},
		{"verify", "Compare the objects of the server with the export", m.verify, (*state).served},
		{"detach", "The garbage collector must watch the server, and no longer the CRDs", m.detach, (*state).defined},
		{"remove", "Remove the CRDs", m.removeDefinitions, (*state).defined},
		{"clean", "Remove the export from the host", m.clean, func(*state) bool { return true }},
	}
}

// state is how far the host has come.
type state struct {
	// definitions are the CRDs that are there, by resource.
	definitions map[string]*unstructured.Unstructured
	// service is where requests for the group are sent, nil while that is nowhere
	// but to the host itself.
	service *types.NamespacedName
	// record is that of the export, nil when there is none.
	record *migration.Record
}

func (s *state) before() bool { return s.service == nil }

func (s *state) defined() bool { return len(s.definitions) > 0 }

// definitionNames are the names of the CRDs that are there.
func (s *state) definitionNames() (names []string) {
	for _, resource := range resources {
		if s.definitions[resource] != nil {
			names = append(names, migration.DefinitionName(resource))
		}
	}
	return names
}

// served reports whether a CRD would still answer if it were asked.
func (s *state) served() bool {
	for _, definition := range s.definitions {
		versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
		for _, version := range versions {
			if fields, ok := version.(map[string]any); ok && fields["served"] == true {
				return true
			}
		}
	}
	return false
}

func (s *state) nothing() bool { return !s.defined() && s.record == nil }

func (m *Migration) look(ctx context.Context) (*state, error) {
	s := &state{definitions: map[string]*unstructured.Unstructured{}}
	var err error
	if s.service, err = migration.ServedBy(ctx, m.Objects); err != nil {
		return nil, err
	}
	for _, resource := range resources {
		definition, err := m.Objects.Resource(migration.Definitions).Get(ctx, migration.DefinitionName(resource), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the CRD of %s: %w", resource, err)
		}
		s.definitions[resource] = definition
	}
	if s.record, err = migration.ReadRecord(ctx, m.Kubernetes, m.Namespace); err != nil {
		return nil, err
	}
	if s.service != nil && s.service.Namespace != m.Namespace && s.record == nil {
		record, err := migration.ReadRecord(ctx, m.Kubernetes, s.service.Namespace)
		if err != nil {
			return nil, err
		}
		if record != nil {
			return nil, fmt.Errorf("the export is in the namespace %[1]s, and this looks in %s: give --namespace %[1]s", s.service.Namespace, m.Namespace)
		}
	}
	return s, nil
}

// DryRun prints what Run would do and every problem it would meet, and changes
// nothing. It reports whether Run would refuse to begin.
func (m *Migration) DryRun(ctx context.Context) (refused bool, err error) {
	forbidden, err := m.checkAccess(ctx)
	if err != nil {
		return false, err
	}
	if len(forbidden) > 0 {
		fmt.Fprint(m.Out, forbidden)
		return true, nil
	}
	s, err := m.look(ctx)
	if err != nil {
		return false, err
	}
	if s.nothing() {
		m.sayNothing()
		return false, nil
	}
	fmt.Fprintln(m.Out, "Plan:")
	for i, step := range m.steps() {
		done := ""
		if !step.due(s) {
			done = " (done)"
		}
		fmt.Fprintf(m.Out, "  %d. %s%s\n", i+1, step.what, done)
	}
	problems, err := m.check(ctx, s)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(m.Out, "\n%s", problems)
	return len(problems.blocking()) > 0, nil
}

// Run migrates, or goes on with a migration that was broken off.
func (m *Migration) Run(ctx context.Context) error {
	forbidden, err := m.checkAccess(ctx)
	if err != nil {
		return err
	}
	if len(forbidden) > 0 {
		return fmt.Errorf("nothing was changed:\n%s", forbidden)
	}
	s, err := m.look(ctx)
	if err != nil {
		return err
	}
	if s.nothing() {
		m.sayNothing()
		return nil
	}
	problems, err := m.check(ctx, s)
	if err != nil {
		return err
	}
	if blocking := problems.blocking(); len(blocking) > 0 {
		return fmt.Errorf("nothing was changed:\n%s", blocking)
	}
	if len(problems) > 0 {
		fmt.Fprintf(m.Out, "%s\n", problems)
	}
	steps := m.steps()
	for i, step := range steps {
		if s, err = m.look(ctx); err != nil {
			return err
		}
		fmt.Fprintf(m.Out, "[%d/%d] %s\n", i+1, len(steps), step.what)
		if !step.due(s) {
			m.say("done before")
		} else if err := step.run(ctx, s); err != nil {
			return fmt.Errorf("step %d (%s): %w\nNo PediaCluster was changed. Run the same command again to continue from here", i+1, step.name, err)
		}
		if m.Between != nil {
			if err := m.Between(step.name); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(m.Out, `
The policies and lifecycles are served by the policy-apiserver now, with the UIDs that they had.
Next:
  - check their status:  kubectl get clusterimportpolicies,pediaclusterlifecycles
  - uninstall Clusterpedia's controller-manager: if it is started again, it reconciles the same policies
  - restart kube-apiserver at a convenient time: until then kubectl explain does not know the kinds
  - keep the backup until you have checked the result
`)
	return nil
}

// say tells what a step has done.
func (m *Migration) say(format string, args ...any) {
	fmt.Fprintf(m.Out, "       "+format+"\n", args...)
}

func (m *Migration) sayNothing() {
	fmt.Fprintf(m.Out, "There is nothing to migrate: this host has no CRDs of %s, and no export of them in the namespace %s.\n",
		policyv1alpha1.GroupName, m.Namespace)
}

// await waits until check returns nil. What it waits for is a clause.
func (m *Migration) await(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			return fmt.Errorf("waited %s until %s: %w", m.Timeout, what, err)
		case <-time.After(pollPeriod):
		}
	}
}

func (m *Migration) resource(name string) dynamic.ResourceInterface {
	return m.Objects.Resource(policyv1alpha1.SchemeGroupVersion.WithResource(name))
}

// list returns all objects of a type.
func list(ctx context.Context, client dynamic.ResourceInterface) (items []unstructured.Unstructured, err error) {
	options := metav1.ListOptions{Limit: 500}
	for {
		page, err := client.List(ctx, options)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return items, nil
		}
	}
}

// listAll returns the objects of both types, owners first.
func (m *Migration) listAll(ctx context.Context) (objects []unstructured.Unstructured, err error) {
	for _, resource := range resources {
		items, err := list(ctx, m.resource(resource))
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", resource, err)
		}
		objects = append(objects, items...)
	}
	return objects, nil
}

func describe(object *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %q", object.GetKind(), object.GetName())
}

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/metadata"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyv1alpha1client "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

type renderOptions struct {
	*factory
	files              genericclioptions.FileNameFlags
	print              *genericclioptions.PrintFlags
	source             string
	all                bool
	references         []string
	current            string
	includeCredentials bool
	chunkSize          int64

	printer    printers.ResourcePrinter // nil for people
	policyName string                   // empty with files
	reference  map[string]string        // the files of references by key
}

func newRenderCommand(f *factory) *cobra.Command {
	o := &renderOptions{
		factory: f,
		files:   newFileFlags("The file, directory or URL that contains the policy, or - for standard input."),
		print:   genericclioptions.NewPrintFlags("").WithTypeSetter(offline.Scheme),
	}
	command := &cobra.Command{
		Use:                   "render (POLICY | -f FILENAME) [--source SOURCE | --all]",
		DisableFlagsInUseLine: true,
		Short:                 "Show the results of a policy for its Sources",
		Long: long(`
			Show the results of a policy for its Sources: whether a Source is selected, its references, the
			results of the conditions, the PediaCluster, and the action. Nothing is written.

			A policy from a file with a Source from a file is rendered without a cluster. In all other cases the
			server renders with your permissions: a policy of the cluster, or the policy of the file as if it
			were applied. A policy of the cluster is rendered for all Sources unless you name one.

			The value of --source is a file if one of that name exists, - for standard input, or a URL. Otherwise it
			is the name of a Source on the cluster, as [namespace/]name.

			Credentials are shown as digests, the same for the same credential, unless --include-credentials is set.

			Exit codes: 0, or 1 if there is an error or a result has one.`),
		Example: examples(`
			# Render a policy without a cluster
			kubectl clusterimport render -f policy.yaml --source cluster.yaml --reference authSecret=secret.yaml

			# Render the policy oak for all its Sources
			kubectl clusterimport render oak

			# Render it for one Source, with credentials
			kubectl clusterimport render oak --source amsterdam --include-credentials -o yaml

			# Render an edit of a policy for all Sources of the cluster
			kubectl clusterimport render -f policy.yaml --all

			# Print the names of all PediaClusters of a policy
			kubectl clusterimport render oak -o name`),
		Args:              arguments(cobra.MaximumNArgs(1), "name one policy"),
		ValidArgsFunction: f.completePolicies,
		RunE: func(command *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return o.run(command.Context())
		},
	}
	o.addFlags(command)
	return command
}

// addFlags adds the flags of the command, with the completion of their values.
func (o *renderOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	o.files.AddFlags(flags)
	o.print.AddFlags(command)
	flags.StringVar(&o.source, "source", "", "The Source: a file, or [namespace/]name of one on the cluster.")
	flags.BoolVar(&o.all, "all", false, "Render all Sources of the cluster.")
	flags.StringArrayVar(&o.references, "reference", nil,
		"KEY=FILENAME: use the object in the file for the reference with that key. Without a cluster, a file may contain several objects: the object that the reference names is used. "+
			"With several Sources, a single object must also have that name.")
	flags.StringVar(&o.current, "current", "", "A file with the existing PediaCluster. Only without a cluster.")
	flags.BoolVar(&o.includeCredentials, "include-credentials", false, "Show credentials, and the output of conditions, in plain text.")
	flags.Int64Var(&o.chunkSize, "chunk-size", 100, "The number of Sources in each request to the server.")
	completeFlag(command, "source", func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return o.completeSources(command.Context(), args)
	})
	completeFlag(command, "output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return o.print.AllowedFormats(), cobra.ShellCompDirectiveNoFileComp
	})
}

// completeSources offers the Sources on the cluster of the policy that the command names.
// The shell adds files.
func (o *renderOptions) completeSources(ctx context.Context, args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, err := o.sourceNames(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return names, cobra.ShellCompDirectiveDefault
}

// mostCompletions is how many Sources are offered: nobody reads more.
const mostCompletions = 500

func (o *renderOptions) sourceNames(ctx context.Context, policyName string) (names []string, err error) {
	client, err := o.policies()
	if err != nil {
		return nil, err
	}
	policy, err := client.ClusterImportPolicies().Get(ctx, policyName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// Without the version that the server reads, its type is not served.
	source := schema.GroupVersionResource{Group: policy.Spec.Source.Group, Version: policy.Status.SourceVersion, Resource: policy.Spec.Source.Resource}
	list, err := objects.Resource(source).List(ctx, metav1.ListOptions{Limit: mostCompletions})
	if err != nil {
		return nil, err
	}
	for _, object := range list.Items {
		names = append(names, describe.Source(policyv1alpha1.SourceName{Namespace: object.Namespace, Name: object.Name}))
	}
	return names, nil
}

func (o *renderOptions) complete(args []string) error {
	if len(args) > 0 {
		o.policyName = args[0]
	}
	switch files := len(*o.files.Filenames) > 0; {
	case files && o.policyName != "":
		return usagef("give either the name of a policy or a file with -f")
	case !files && o.policyName == "":
		return usagef("give the name of a policy, or a file with -f")
	case files && o.source == "" && !o.all:
		return usagef("say of which Source with --source, or --all of the cluster")
	case o.source != "" && o.all:
		return usagef("--source and --all exclude each other")
	case o.current != "" && !o.offline():
		return usagef("--current is for rendering without a cluster: the server reads the PediaCluster itself")
	case o.chunkSize < 1:
		return usagef("--chunk-size must be at least 1")
	}
	var err error
	if o.printer, err = o.toPrinter(); err != nil {
		return err
	}
	o.reference = map[string]string{}
	for _, reference := range o.references {
		key, file, ok := strings.Cut(reference, "=")
		if !ok || key == "" || file == "" {
			return usagef("--reference %q: must be KEY=FILENAME", reference)
		}
		if _, twice := o.reference[key]; twice {
			return usagef("--reference: %q is given twice", key)
		}
		o.reference[key] = file
	}
	inputs := append([]string{o.source, o.current}, *o.files.Filenames...)
	for _, file := range o.reference {
		inputs = append(inputs, file)
	}
	if first := slices.Index(inputs, manifest.Stdin); first >= 0 && slices.Contains(inputs[first+1:], manifest.Stdin) {
		return &usageError{resource.StdinMultiUseError}
	}
	return nil
}

// offline reports whether nothing is asked of a cluster.
func (o *renderOptions) offline() bool { return o.policyName == "" && o.sourceIsFile() }

func (o *renderOptions) sourceIsFile() bool {
	if o.source == manifest.Stdin || manifest.IsURL(o.source) {
		return true
	}
	_, err := os.Stat(o.source)
	return err == nil
}

func (o *renderOptions) run(ctx context.Context) error {
	review := o.online
	if o.offline() {
		review = o.withoutCluster
	}
	answer, err := review(ctx)
	if err != nil {
		return err
	}
	if err := o.printReview(answer); err != nil {
		return err
	}
	if answer.Status.Totals.Actions[policyv1alpha1.RenderError] > 0 {
		return answerCode(1)
	}
	return nil
}

func (o *renderOptions) withoutCluster(ctx context.Context) (*policyv1alpha1.RenderReview, error) {
	policy, err := offline.ReadPolicy(ctx, o.files.ToOptions(), o.In)
	if err != nil {
		return nil, err
	}
	in := offline.Inputs{Policy: policy, References: map[string][]*unstructured.Unstructured{}}
	if in.Sources, err = o.read(o.source); err != nil {
		return nil, err
	}
	for key, file := range o.reference {
		if in.References[key], err = o.read(file); err != nil {
			return nil, err
		}
	}
	if o.current != "" {
		if in.Current, err = o.read(o.current); err != nil {
			return nil, err
		}
	}
	if !o.includeCredentials {
		in.Digest = offline.NewDigest()
	}
	answer := &policyv1alpha1.RenderReview{ObjectMeta: metav1.ObjectMeta{Name: policy.Name}}
	if answer.Status.Results, err = offline.Render(in); err != nil {
		return nil, err
	}
	for i := range answer.Status.Results {
		sayNotGiven(&answer.Status.Results[i])
	}
	answer.Status.Totals = totals(answer.Status.Results)
	return answer, nil
}

// sayNotGiven corrects what a result without a cluster says of a reference: nobody knows
// whether what was not given exists.
func sayNotGiven(result *policyv1alpha1.RenderResult) {
	if key, reference, ok := offline.NotGiven(result); ok {
		result.Message = fmt.Sprintf("%s was not given: add it with --reference %s=FILENAME", reference, key)
	}
}

func (o *renderOptions) read(file string) ([]*unstructured.Unstructured, error) {
	return offline.ReadObjects(resource.FilenameOptions{Filenames: []string{file}}, o.In)
}

func (o *renderOptions) readOne(file string) (*runtime.RawExtension, error) {
	objects, err := o.read(file)
	if err != nil {
		return nil, err
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("%s has %d objects: give the server one", file, len(objects))
	}
	raw, err := json.Marshal(objects[0])
	return &runtime.RawExtension{Raw: raw}, err
}

func (o *renderOptions) online(ctx context.Context) (*policyv1alpha1.RenderReview, error) {
	name := o.policyName
	spec := policyv1alpha1.RenderReviewSpec{IncludeCredentials: o.includeCredentials}
	if name == "" {
		policy, err := offline.ReadPolicy(ctx, o.files.ToOptions(), o.In)
		if err != nil {
			return nil, err
		}
		name, spec.Policy = policy.Name, &policy.Spec
	}
	var err error
	switch {
	case o.source == "":
		spec.Limit = o.chunkSize
	case o.sourceIsFile():
		if spec.SourceObject, err = o.readOne(o.source); err != nil {
			return nil, err
		}
	default:
		spec.Source = sourceName(o.source, *o.Namespace)
	}
	for _, key := range slices.Sorted(maps.Keys(o.reference)) {
		object, err := o.readOne(o.reference[key])
		if err != nil {
			return nil, err
		}
		spec.References = append(spec.References, policyv1alpha1.ReferenceObject{Key: key, Object: *object})
	}
	client, err := o.policies()
	if err != nil {
		return nil, err
	}
	return reviewAll(ctx, client, name, spec)
}

// sourceName is the Source of that name; without a namespace of its own it is
// in that of --namespace.
func sourceName(name, namespace string) *policyv1alpha1.SourceName {
	if before, after, ok := strings.Cut(name, "/"); ok {
		namespace, name = before, after
	}
	return &policyv1alpha1.SourceName{Namespace: namespace, Name: name}
}

// reviewAll asks the server until it has answered for all Sources. Of what was
// asked, which may hold credentials, nothing is in the answer.
func reviewAll(ctx context.Context, client policyv1alpha1client.ClusterImportPoliciesGetter, policy string, spec policyv1alpha1.RenderReviewSpec) (*policyv1alpha1.RenderReview, error) {
	all := &policyv1alpha1.RenderReview{ObjectMeta: metav1.ObjectMeta{Name: policy}}
	for {
		page, err := client.ClusterImportPolicies().Render(ctx, policy, &policyv1alpha1.RenderReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		all.Status.Results = append(all.Status.Results, page.Status.Results...)
		if spec.Continue = page.Status.Continue; spec.Continue == "" {
			break
		}
	}
	// Two Sources of one name may have been on different pages.
	render.Contend(all.Status.Results)
	all.Status.Totals = totals(all.Status.Results)
	return all, nil
}

func totals(results []policyv1alpha1.RenderResult) policyv1alpha1.RenderTotals {
	sum := policyv1alpha1.RenderTotals{Sources: int32(len(results)), Actions: map[policyv1alpha1.RenderAction]int32{}}
	for _, result := range results {
		if result.Selected {
			sum.Selected++
		}
		sum.Actions[result.Action]++
	}
	return sum
}

// toPrinter returns what --output and --template ask for, nil when they do not
// ask for anything.
func (o *renderOptions) toPrinter() (printers.ResourcePrinter, error) {
	switch *o.print.OutputFormat {
	case "":
		if *o.print.TemplatePrinterFlags.TemplateArgument == "" {
			return nil, nil
		}
	case "name":
		return printers.ResourcePrinterFunc(printNames), nil
	}
	return o.print.ToPrinter()
}

func (o *renderOptions) printReview(review *policyv1alpha1.RenderReview) error {
	if o.printer == nil {
		return describeReview(o.Out, review, o.offline())
	}
	return o.printer.PrintObj(review, o.Out)
}

// printNames prints the names of the PediaClusters in a review.
func printNames(review runtime.Object, w io.Writer) error {
	printer := &printers.NamePrinter{}
	for _, result := range review.(*policyv1alpha1.RenderReview).Status.Results {
		if !result.Selected || result.Name == "" {
			continue
		}
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(render.PediaClusterGVK)
		object.SetName(result.Name)
		if err := printer.PrintObj(object, w); err != nil {
			return err
		}
	}
	return nil
}

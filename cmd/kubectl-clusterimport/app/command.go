// Package app is the command line of the kubectl plugin.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"

	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	policyv1alpha1client "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
)

// Run runs a command line and returns the exit code.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	root := NewCommand(streams)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	var answer answerCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &answer):
		return int(answer)
	}
	printError(streams.ErrOut, command, err)
	return errorCode(command)
}

// NewCommand returns the command with its subcommands.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	f := &factory{
		ConfigFlags: genericclioptions.NewConfigFlags(true).WithWarningPrinter(streams),
		IOStreams:   streams,
		warnings: rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{
			Deduplicate: true, Color: printers.AllowsColorOutput(streams.ErrOut)}),
	}
	root := &cobra.Command{
		Use:   "kubectl-clusterimport",
		Short: "Write, test and understand import policies",
		Long: long(`
			Write, test and understand the ClusterImportPolicies that import clusters into Clusterpedia.

			render, lint and test work on files and need no cluster. playground shows what they say while you type.`),
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl clusterimport"},
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	quiet(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	f.AddFlags(root.PersistentFlags())
	logs.AddFlags(root.PersistentFlags())
	f.completeConfigFlags(root)
	root.AddCommand(
		newRenderCommand(f),
		newLintCommand(f),
		newDiffCommand(f),
		newTestCommand(f),
		newExplainCommand(f),
		newRolloutCommand(f),
		newPlaygroundCommand(f),
		newMigrateCommand(f),
		newVersionCommand(f),
	)
	return root
}

// quiet discards what libraries log. Errors and warnings tell people what they need; the
// log is shown with -v or --vmodule.
func quiet(root *cobra.Command) {
	klog.SetLogger(klog.New(nil)) // which discards
	root.PersistentPreRun = func(command *cobra.Command, _ []string) {
		if flags := command.Flags(); flags.Changed("v") || flags.Changed("vmodule") {
			klog.ClearLogger()
		}
	}
}

// long and examples strip the indentation that texts have in the code.
func long(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\n\t\t\t", "\n")) }

func examples(text string) string {
	return "  " + strings.TrimSpace(strings.ReplaceAll(text, "\n\t\t\t", "\n  "))
}

// answerCode is an exit code that is the answer of a command, not an error.
type answerCode int

func (c answerCode) String() string { return strconv.Itoa(int(c)) }

func (c answerCode) Error() string { return "exit code " + c.String() }

// usageError is an error of the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errorsExitWith makes errors of a command end with another code than 1, for
// commands whose answer 1 is.
func errorsExitWith(code int) map[string]string {
	return map[string]string{errorCodeAnnotation: strconv.Itoa(code)}
}

const errorCodeAnnotation = "clusterpedia.io/error-exit-code"

func errorCode(command *cobra.Command) int {
	if code, err := strconv.Atoi(command.Annotations[errorCodeAnnotation]); err == nil {
		return code
	}
	return 1
}

// printError prints an error as kubectl does.
func printError(w io.Writer, command *cobra.Command, err error) {
	var status apierrors.APIStatus
	var usage *usageError
	var request *url.Error
	switch {
	case errors.As(err, &status) && status.Status().Reason != "":
		fmt.Fprintf(w, "Error from server (%s): %v\n", status.Status().Reason, err)
	case errors.As(err, &usage):
		fmt.Fprintf(w, "error: %v\nSee '%s --help' for usage.\n", err, command.CommandPath())
	case utilnet.IsConnectionRefused(err) && errors.As(err, &request):
		fmt.Fprintf(w, "error: nothing answers at %s: set --context or --kubeconfig\n", hostOf(request.URL))
	default:
		fmt.Fprintf(w, "error: %v\n", err)
	}
}

func hostOf(address string) string {
	if parsed, err := url.Parse(address); err == nil {
		return parsed.Host
	}
	return address
}

// arguments checks the number of arguments of a command, and says what they are.
func arguments(check cobra.PositionalArgs, what string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if check(command, args) != nil {
			return usagef("%s (%s given)", what, count(len(args), "argument", "arguments"))
		}
		return nil
	}
}

// factory makes clients from the flags that all commands have in common.
type factory struct {
	*genericclioptions.ConfigFlags
	genericiooptions.IOStreams
	// warnings prints those of servers, each once.
	warnings rest.WarningHandler
}

func (f *factory) config() (*rest.Config, error) {
	config, err := f.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	// The rate at which kubectl asks for many things at once.
	config.QPS, config.Burst = 50, 300
	config.WarningHandler = f.warnings
	return config, nil
}

func (f *factory) policies() (policyv1alpha1client.PolicyV1alpha1Interface, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	client, err := policyclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.PolicyV1alpha1(), nil
}

func (f *factory) objects() (dynamic.Interface, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}

// completePolicies and completeLifecycles offer the names on the cluster as
// the only argument of a command.
func (f *factory) completePolicies(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return complete(args, func() (names []string, err error) {
		client, err := f.policies()
		if err != nil {
			return nil, err
		}
		list, err := client.ClusterImportPolicies().List(command.Context(), metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, policy := range list.Items {
			names = append(names, policy.Name)
		}
		return names, nil
	})
}

func (f *factory) completeLifecycles(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return complete(args, func() (names []string, err error) {
		client, err := f.policies()
		if err != nil {
			return nil, err
		}
		list, err := client.PediaClusterLifecycles().List(command.Context(), metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, lifecycle := range list.Items {
			names = append(names, lifecycle.Name)
		}
		return names, nil
	})
}

func complete(args []string, names func() ([]string, error)) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := names()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeConfigFlags completes --context, --cluster and --user from the
// kubeconfig.
func (f *factory) completeConfigFlags(root *cobra.Command) {
	for flag, names := range map[string]func(config *clientcmdapi.Config) iter.Seq[string]{
		"context": func(config *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(config.Contexts) },
		"cluster": func(config *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(config.Clusters) },
		"user":    func(config *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(config.AuthInfos) },
	} {
		completeFlag(root, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return complete(nil, func() ([]string, error) {
				config, err := f.ToRawKubeConfigLoader().RawConfig()
				return slices.Sorted(names(&config)), err
			})
		})
	}
}

func completeFlag(command *cobra.Command, flag string, complete cobra.CompletionFunc) {
	// It fails for a flag that does not exist, which a test would show.
	_ = command.RegisterFlagCompletionFunc(flag, complete)
}

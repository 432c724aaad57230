package v1alpha1

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

const gitOpsPage = "../../../../docs/gitops.md"

// healthRow is a row of the table of docs/gitops.md: Ready, reason, kstatus, Argo CD.
var healthRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(\\w+)` \\| (\\w+) \\| (\\w+) \\|$")

func TestGitOpsToolsJudgeThePolicyAsDocumented(t *testing.T) {
	page, err := os.ReadFile(gitOpsPage)
	if err != nil {
		t.Fatal(err)
	}
	check := healthCheck(t, string(page))
	documented := map[string]bool{}
	for _, row := range healthRow.FindAllStringSubmatch(string(page), -1) {
		ready, reason, kstatus, argo := metav1.ConditionStatus(row[1]), row[2], row[3], row[4]
		documented[reason] = true
		policy := policyThatIs(ready, reason)
		if got := computed(t, policy); got != kstatus {
			t.Errorf("%s: kstatus says %s, and the table %s", reason, got, kstatus)
		}
		if got := judged(t, check, policy); got != argo {
			t.Errorf("%s: Argo CD says %s, and the table %s", reason, got, argo)
		}
		if policy.Generation++; policy.DeletionTimestamp == nil {
			if got := computed(t, policy) + ", " + judged(t, check, policy); got != "InProgress, Progressing" {
				t.Errorf("%s of an earlier generation: %s", reason, got)
			}
		}
	}
	for _, reason := range readyReasons(t) {
		if !documented[reason] {
			t.Errorf("docs/gitops.md: the table of health lacks a row for `%s`", reason)
		}
	}
}

// policyThatIs is a policy with that condition Ready.
func policyThatIs(ready metav1.ConditionStatus, reason string) *ClusterImportPolicy {
	policy := &ClusterImportPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: SchemeGroupVersion.String(), Kind: "ClusterImportPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "mcp", Generation: 1},
		Status:     ClusterImportPolicyStatus{Conditions: NewConditions(1, metav1.Now())},
	}
	if reason == ReasonPending {
		return policy
	}
	policy.Status.ObservedGeneration = 1
	policy.Status.Conditions = []metav1.Condition{{Type: PolicyReady, Status: ready, Reason: reason, Message: "why", ObservedGeneration: 1}}
	if reason == ReasonPolicyDeleted {
		policy.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
	}
	return policy
}

// readyReasons are the reasons of docs/status.md that the condition Ready of a policy has.
func readyReasons(t *testing.T) (reasons []string) {
	t.Helper()
	page, err := os.ReadFile(statusPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Reasons of a policy\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.Contains(cells[2], "`Ready`") {
			reasons = append(reasons, strings.Trim(cells[1], " `"))
		}
	}
	if len(reasons) == 0 {
		t.Fatal("docs/status.md has no reasons of a policy")
	}
	return reasons
}

// computed is what kstatus makes of a policy.
func computed(t *testing.T, policy *ClusterImportPolicy) string {
	t.Helper()
	result, err := status.Compute(&unstructured.Unstructured{Object: content(t, policy)})
	if err != nil {
		t.Fatal(err)
	}
	return string(result.Status)
}

func content(t *testing.T, policy *ClusterImportPolicy) map[string]any {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(policy)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// healthCheck is the script of docs/gitops.md.
func healthCheck(t *testing.T, page string) string {
	t.Helper()
	_, manifest, ok := strings.Cut(page, "```yaml title=\"argocd-cm.yaml\"\n")
	manifest, _, closed := strings.Cut(manifest, "```")
	var configMap struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(manifest), &configMap); err != nil || !ok || !closed {
		t.Fatalf("docs/gitops.md has no argocd-cm.yaml: %v", err)
	}
	return configMap.Data["resource.customizations.health."+GroupName+"_ClusterImportPolicy"]
}

// judged is the health that a script finds, run as Argo CD runs it.
func judged(t *testing.T, script string, policy *ClusterImportPolicy) string {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, content(t, policy)))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	health, ok := state.Get(-1).(*lua.LTable)
	if !ok || health.RawGetString("message").String() == "" {
		t.Fatalf("the script returns %s", state.Get(-1))
	}
	return health.RawGetString("status").String()
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	default:
		return lua.LNil
	}
}

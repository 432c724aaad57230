package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestAMistakeIsMarkedWhileItIsTyped(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	p.openExample("karmada", "push")
	p.waitFor(`document.querySelector("#name").textContent === "karmada-member1"`)

	// At the end of the creation condition, which is the last line.
	p.edit("policy")
	p.control(kb.End)
	p.press(kb.ArrowLeft)
	p.press(`{{ nope }}`)
	p.waitFor(`document.querySelector("#policy .cm-lintRange-error")?.textContent === "nope"`)
	p.waitFor(`/policy:\d+:\d+ spec.creationCondition: .*there is no function "nope"/.test(document.querySelector("#findings .error").textContent)`)
	p.waitFor(`document.querySelector("#status").textContent.startsWith("1 error")`)
	if eval[bool](p, `document.querySelector("#stale").hidden`) {
		t.Error("nothing says that the result is of an earlier text")
	}
	decoration := eval[string](p, `getComputedStyle(document.querySelector("#policy .cm-lintRange-error")).textDecoration`)
	if !strings.Contains(decoration, "underline") || !strings.Contains(decoration, "wavy") {
		t.Errorf("the mistake is marked by %q", decoration)
	}

	for range "{{ nope }}" {
		p.press(kb.Backspace)
	}
	p.waitFor(`!document.querySelector("#policy .cm-lintRange-error") && document.querySelector("#stale").hidden`)
	p.waitFor(`document.querySelector("#status").textContent.endsWith("PediaCluster karmada-member1 would be created.")`)
}

func TestACaseShowsItsPediaCluster(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	for _, example := range [][2]string{{"kamaji", "ready"}, {"argo-cd", "token"}} {
		expected, err := os.ReadFile(filepath.Join(root, "artifacts/platforms", example[0], "tests", example[1], "expected.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		field := func(name string) string {
			return regexp.MustCompile(`(?m)^ *` + name + `: (.*)$`).FindStringSubmatch(string(expected))[1]
		}
		p.openExample(example[0], example[1])
		p.waitFor(fmt.Sprintf(`document.querySelector("#name").textContent === %q`, field("name")))
		shown := p.editor("pediacluster")
		for _, want := range []string{"kind: PediaCluster", "name: " + field("name"), "apiserver: " + field("apiserver"), "hmac-sha256:"} {
			if !strings.Contains(shown, want) {
				t.Errorf("%v: the PediaCluster has no %q:\n%s", example, want, shown)
			}
		}
		if plan := p.text("#plan"); !strings.Contains(plan, "Create (PediaClusterCreated)") {
			t.Errorf("%v: the plan is %s", example, plan)
		}
	}
}

func TestAConditionShowsWhyItIsNotTrue(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	p.openExample("karmada", "not-ready")
	p.waitFor(`document.querySelector("#summary").textContent === "Nothing would be done yet."`)
	if trace := p.text("#conditions"); !strings.Contains(trace, "Creation condition: not true") || !strings.Contains(trace, `eq .status "True" false`) {
		t.Errorf("the trace is %s", trace)
	}
}

// TestTheKeyboardIsEnough uses nothing but keys.
func TestTheKeyboardIsEnough(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	focus := func(want string) {
		t.Helper()
		if got := p.focused(); got != want {
			t.Fatalf("%s has the focus, not %s", got, want)
		}
	}
	p.press(kb.Tab)
	focus("skip")
	p.press(kb.Enter)
	focus("result-title")

	eval[chromedp.Void](p, `document.querySelector("#skip").focus()`)
	p.press(kb.Tab)
	focus("platform")
	p.press("karmada", kb.Tab)
	focus("case")
	p.press("push", kb.Tab)
	focus("open-example")
	p.press(kb.Enter)
	p.waitFor(`document.querySelector("#name").textContent === "karmada-member1"`)

	p.press(kb.Tab)
	focus("Policy")
	before := p.editor("policy")
	p.press(kb.Tab)
	if after := p.editor("policy"); after != "  "+before {
		t.Errorf("Tab does not indent:\n%.200s", after)
	}
	p.press(kb.Escape, kb.Tab)
	focus("Source")
	p.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	focus("Policy")

	// A mistake, and back to it from the list of problems.
	p.control(kb.End)
	p.press(kb.ArrowLeft, "{{ nope }}")
	p.waitFor(`document.querySelector("#policy .cm-lintRange-error")`)
	p.control(kb.Home)
	p.press(kb.Escape, kb.Tab, kb.Escape, kb.Tab, kb.Escape, kb.Tab)
	for !strings.Contains(p.focused(), "error") { // warnings come first
		if !strings.Contains(p.focused(), "warning") {
			focus("error")
		}
		p.press(kb.Tab)
	}
	p.press(kb.Enter)
	focus("Policy")
	if line := p.text("#policy .cm-activeLine"); !strings.Contains(line, "nope") {
		t.Errorf("the cursor is in the line %q", line)
	}
	p.press(kb.F8) // to the next one, from the last
	focus("Policy")
}

// TestEverythingHasAName looks for what a screen reader would read as nothing.
func TestEverythingHasAName(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	unnamed := eval[[]string](p, `[...document.querySelectorAll("button, select, [tabindex='0'], [role=textbox], section")]
		.filter((e) => !e.closest("[hidden]"))
		.filter((e) => {
			const by = e.getAttribute("aria-labelledby");
			return !(e.getAttribute("aria-label") || e.labels?.[0]?.textContent || by && document.getElementById(by)?.textContent || e.tagName === "BUTTON" && e.textContent);
		}).map((e) => e.outerHTML.slice(0, 100))`)
	if len(unnamed) > 0 {
		t.Errorf("these have no name: %q", unnamed)
	}
	if role := eval[string](p, `document.querySelector("#status").getAttribute("role")`); role != "status" {
		t.Errorf("the result is not read out: it has the role %q", role)
	}
}

// TestWhatIsShownIsText has HTML wherever a text comes from.
func TestWhatIsShownIsText(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	const html = `<img src=x onerror=document.title='owned'><b id=injected>bold</b>`
	p.edit("source")
	p.control("a")
	p.paste("source", "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata:\n  namespace: x\n  name: \""+html+"\"\n")
	p.waitFor(`document.querySelector("#plan").textContent.includes("<img src=x")`)
	p.edit("policy")
	p.control("a")
	p.paste("policy", "apiVersion: v1\nkind: \""+html+"\"\n")
	p.waitFor(`document.querySelector("#findings").textContent.includes("<b id=injected>")`)
	if got := eval[string](p, `document.title + document.querySelectorAll("img, #injected").length`); got != "Import policy playground0" {
		t.Errorf("HTML was inserted: %s", got)
	}
}

// TestTwoMegabytesStayResponsive types while an evaluation of 2 MB is under way.
func TestTwoMegabytesStayResponsive(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	var large strings.Builder
	large.WriteString("\nlarge:\n")
	for i := 0; large.Len() < 2<<20; i++ {
		fmt.Fprintf(&large, "- {number: %d, text: \"some text of some length\", list: [1, 2, 3]}\n", i)
	}
	p.edit("source")
	p.control(kb.End)
	p.paste("source", large.String())
	p.waitForReady()
	p.waitFor(`document.querySelector("#summary").textContent.includes("capi-clusters-blue")`)

	// The answer to each question waits until it is released.
	eval[chromedp.Void](p, `
		globalThis.asked = 0;
		globalThis.released = new Promise((release) => { globalThis.release = release; });
		const ask = globalThis.fetch;
		globalThis.fetch = async (...question) => { asked++; const answer = await ask(...question); await released; return answer; };
		undefined`)
	p.edit("policy")
	p.control(kb.Home)
	p.press("# first\n")
	p.waitFor(`asked > 0`)
	p.press("# typed while it is evaluated\n")
	p.waitFor(`document.querySelector("#policy").textContent.includes("# typed while it is evaluated")`)
	if state := eval[string](p, `document.body.dataset.state`); state == "ready" {
		t.Error("the evaluation has ended already")
	}
	eval[chromedp.Void](p, `release()`)
	p.waitForReady()

	// What was typed last is what is shown in the end.
	p.control(kb.End)
	p.press(kb.ArrowLeft, "{{ nope }}")
	p.waitFor(`document.querySelector("#policy .cm-lintRange-error")?.textContent === "nope"`)

	// Too much is refused with a word on why.
	p.edit("references")
	p.paste("references", strings.Repeat("# "+strings.Repeat("x", 98)+"\n", 30_000))
	p.waitFor(`document.querySelector("#status").textContent.includes("more than 4 MiB")`)
	p.forget() // the console reports the answer 413
}

func TestAHostileTemplateStaysResponsive(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	p.edit("policy")
	p.control(kb.End)
	p.press(kb.ArrowLeft)
	p.paste("policy", `{{ range until 999 }}{{ range until 999 }}{{ range until 999 }}{{ end }}{{ end }}{{ end }}`)
	p.waitFor(`document.querySelector("#findings").textContent.includes("the template does more than 1,000,000 steps of work")`)
}

func TestThePageSaysWhyItCannotEvaluate(t *testing.T) {
	t.Run("without the token", func(t *testing.T) {
		p := newTab(t)
		p.do(chromedp.Navigate(strings.Split(startPlayground(t, nil), "#")[0]))
		p.waitFor(`document.querySelector("#status").textContent.includes("open the URL that the command prints")`)
		p.forget() // the console reports the answer 401
	})
	t.Run("after the command has ended", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := open(t, startPlaygroundUntil(ctx, t, nil))
		stop()
		p.edit("policy")
		p.press("#")
		p.waitFor(`document.querySelector("#status").textContent.includes("start the command again")`)
		if eval[bool](p, `document.querySelector("#stale").hidden`) {
			t.Error("nothing says that the result is of an earlier text")
		}
		p.forget()
	})
}

// TestScreenshot takes the picture of the documentation, and writes it with -screenshot.
func TestScreenshot(t *testing.T) {
	p := open(t, startPlayground(t, nil))
	p.do(chromedp.EmulateViewport(1400, 1000))
	p.openExample("karmada", "not-ready")
	p.edit("policy")
	p.control(kb.End)
	p.press(kb.ArrowLeft, "{{ .source.spec.apiEndpint }}")
	p.waitFor(`document.querySelector("#findings").textContent.includes("did you mean")`)
	p.waitForReady()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if len(picture) < 10_000 {
		t.Errorf("the picture has %d bytes", len(picture))
	}
	if *screenshot {
		if err := os.WriteFile(filepath.Join(root, "docs/images/playground.png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Package browser tests the playground of the plugin in a real browser. It is a module of its
// own, so that nothing else depends on what drives the browser.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshot = flag.Bool("screenshot", false, "write docs/images/playground.png")

const (
	root   = "../.."
	plugin = root + "/_output/bin/kubectl-clusterimport"

	// patience is for a machine that does much else.
	patience = time.Minute
)

// browsers are the commands by which Chromium is called, the first that there is.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// browser is one for all tests; each has a tab of its own.
var browser context.Context

// errNoBrowser says what to do.
var errNoBrowser = errors.New("no browser: none of " + strings.Join(browsers, ", ") +
	" is in PATH. Install one, on Debian with: apt-get update && apt-get install --no-install-recommends chromium")

func findBrowser() (string, error) {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoBrowser
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	path, err := findBrowser()
	if err == nil {
		_, err = os.Stat(plugin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WindowSize(1500, 1100),
		// Names of hostile sites point here, and nothing else is reached.
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("disable-dev-shm-usage", true),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // as which Chromium has none
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", path, err)
		return 1
	}
	browser = ctx
	return m.Run()
}

func TestWithoutABrowserItSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := findBrowser(); err == nil || !strings.Contains(err.Error(), "apt-get install --no-install-recommends chromium") {
		t.Errorf("error %v", err)
	}
}

// startPlayground starts the command and returns the URL that it prints.
func startPlayground(t *testing.T, environment []string, args ...string) string {
	t.Helper()
	return startPlaygroundUntil(t.Context(), t, environment, args...)
}

// startPlaygroundUntil ends the command with the context.
func startPlaygroundUntil(ctx context.Context, t *testing.T, environment []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(ctx, plugin, append([]string{"playground"}, args...)...)
	command.Env = append(os.Environ(), environment...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	command.Stderr = &problems
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // when its context has ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, &problems)
	}
	return strings.TrimSpace(line)
}

// page is a tab with the playground.
type page struct {
	*testing.T
	ctx context.Context

	mu sync.Mutex
	// requests are the URLs that the tab has asked for, problems what the console says.
	requests, problems []string
}

// newTab opens an empty tab. At the end of the test it must have asked this machine only, and
// nothing may have gone wrong in it.
func newTab(t *testing.T) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	p := &page{T: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, event.Request.URL)
		case *network.EventWebSocketCreated:
			p.requests = append(p.requests, event.URL)
		case *runtime.EventExceptionThrown:
			p.problems = append(p.problems, event.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			p.problems = append(p.problems, event.Entry.Text+" "+event.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, address := range p.requests {
			if parsed, err := url.Parse(address); err != nil || parsed.Hostname() != "127.0.0.1" {
				t.Errorf("the page has asked for %s", address)
			}
		}
		if len(p.problems) > 0 {
			t.Errorf("the console says %q", p.problems)
		}
	})
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// open opens the playground and waits for its first example.
func open(t *testing.T, address string) *page {
	t.Helper()
	p := newTab(t)
	p.do(chromedp.Navigate(address))
	p.waitFor(`document.querySelector("#summary").textContent.includes("capi-clusters-blue")`)
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// eval is the value of an expression.
func eval[T any](p *page, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%v: %.200s", err, expression)
	}
	return value
}

// waitFor waits until the expression is true.
func (p *page) waitFor(expression string) {
	p.Helper()
	for deadline := time.Now().Add(patience); !eval[bool](p, "!!("+expression+")"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("it never became true: %s\nstatus: %s\nproblems: %s", expression, p.text("#status"), p.text("#findings"))
		}
	}
}

// waitForReady waits until the newest texts are evaluated.
func (p *page) waitForReady() {
	p.Helper()
	p.waitFor(`document.body.dataset.state === "ready"`)
}

func (p *page) text(selector string) string {
	p.Helper()
	return eval[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// editor is the text of an editor, as far as it is on the screen.
func (p *page) editor(name string) string {
	p.Helper()
	return eval[string](p, fmt.Sprintf(`[...document.querySelectorAll("#%s .cm-line")].map((line) => line.textContent).join("\n")`, name))
}

// edit puts the focus into an editor.
func (p *page) edit(name string) {
	p.Helper()
	p.do(chromedp.Focus(chromedp.CSS("#" + name + " .cm-content")))
}

// paste pastes a text into an editor.
func (p *page) paste(name, text string) {
	p.Helper()
	encoded, _ := json.Marshal(text)
	eval[chromedp.Void](p, fmt.Sprintf(`(() => {
		const clipboardData = new DataTransfer();
		clipboardData.setData("text/plain", %s);
		document.querySelector("#%s .cm-content").dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
	})()`, encoded, name))
}

// control presses a key with Control.
func (p *page) control(key string) {
	p.Helper()
	p.do(chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// press presses keys, as kb names them, or types a text.
func (p *page) press(keys ...string) {
	p.Helper()
	for _, key := range keys {
		p.do(chromedp.KeyEvent(key))
	}
}

// focused describes the element with the focus.
func (p *page) focused() string {
	p.Helper()
	return eval[string](p, `document.activeElement.id || document.activeElement.getAttribute("aria-label") || document.activeElement.className`)
}

// openExample chooses a case with the mouse.
func (p *page) openExample(platform, name string) {
	p.Helper()
	choose := func(id, text string) {
		p.Helper()
		if !eval[bool](p, fmt.Sprintf(`(() => {
			const select = document.getElementById(%q), option = [...select.options].find((option) => option.text === %q);
			if (!option) return false;
			select.value = option.value;
			select.dispatchEvent(new Event("change"));
			return true;
		})()`, id, text)) {
			p.Fatalf("%s does not offer %s", id, text)
		}
	}
	choose("platform", platform)
	choose("case", name)
	p.do(chromedp.Click(chromedp.ID("open-example")))
	p.waitFor(`!document.querySelector("#open-example").hasAttribute("aria-busy")`)
	p.waitForReady()
}

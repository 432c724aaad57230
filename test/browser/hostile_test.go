package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// attack is what a hostile page tries, with the address of the playground and even its token.
// It returns what it has learned.
const attack = `async (base, token) => {
	const learned = [];
	const attempt = async (what, f) => {
		try {
			const got = await f();
			if (got) learned.push(what + ": " + got);
		} catch {}
	};
	const read = async (response) => response.type === "opaque" ? "" : response.status + " " + (await response.text()).slice(0, 100);
	const headers = {"X-Playground-Token": token, "Content-Type": "application/json"};
	await attempt("fetch", async () => read(await fetch(base + "api/start", {headers})));
	await attempt("fetch without a token", async () => read(await fetch(base + "api/start")));
	await attempt("fetch of the page", async () => read(await fetch(base)));
	await attempt("evaluation", async () => read(await fetch(base + "api/evaluate", {method: "POST", headers, body: "{}"})));
	await attempt("evaluation without cors", async () => read(await fetch(base + "api/evaluate", {method: "POST", mode: "no-cors", body: "{}"})));
	await attempt("request", () => new Promise((resolve) => {
		const request = new XMLHttpRequest();
		request.onload = () => resolve(request.responseText);
		request.onerror = () => resolve("");
		request.open("GET", base + "assets/page.js");
		request.send();
	}));
	const load = (name, attributes) => new Promise((resolve) => {
		const made = Object.assign(document.createElement(name), attributes);
		made.onload = () => resolve(made);
		made.onerror = () => resolve(null);
		document.body.append(made);
	});
	await attempt("script", async () => await load("script", {src: base + "assets/editor.js"}) ? "loaded" : "");
	await attempt("module", async () => Object.keys(await import(base + "assets/editor.js")).join());
	await attempt("image", async () => await load("img", {src: base + "assets/icon.svg"}) ? "loaded" : "");
	await attempt("style", async () => await load("link", {rel: "stylesheet", href: base + "assets/page.css"}) ? "loaded" : "");
	await attempt("frame", async () => (await load("iframe", {src: base + "#" + token})).contentDocument?.body?.textContent);
	await attempt("frame of text", async () => (await load("iframe", {src: base + "assets/LICENSES.txt"})).contentDocument?.body?.textContent);
	return learned;
}`

func TestAHostilePageReadsNothing(t *testing.T) {
	address := startPlayground(t, nil)
	base, token, _ := strings.Cut(address, "#")
	playground, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>hostile</title><body>")
	}))
	defer site.Close()
	port := site.URL[strings.LastIndex(site.URL, ":"):]
	for name, origin := range map[string]string{
		"another port":              "http://127.0.0.1" + port,
		"another site":              "http://evil.example" + port,
		"another name of this host": "http://localhost" + port,
	} {
		t.Run(name, func(t *testing.T) {
			p := newTab(t)
			p.do(chromedp.Navigate(origin))
			for _, target := range []string{base, "http://localhost:" + playground.Port() + "/"} {
				if learned := p.attack(target, token); len(learned) > 0 {
					t.Errorf("it learned of %s: %q", target, learned)
				}
			}
			p.forget()
		})
	}
	t.Run("a name that was made to point here", func(t *testing.T) {
		p := newTab(t)
		p.do(chromedp.Navigate("http://rebound.example:" + playground.Port() + "/#" + token))
		if text := p.text("body"); !strings.Contains(text, "is not that of the playground") {
			t.Errorf("the page is shown under another name: %.200s", text)
		}
		learned := p.attack("/", token)
		for _, got := range learned {
			if !strings.Contains(got, "is not that of the playground") {
				t.Errorf("it learned %q", got)
			}
		}
		p.forget()
	})
	t.Run("the page itself", func(t *testing.T) {
		// The attempts work where they may, or they would prove nothing.
		p := open(t, address)
		learned := strings.Join(p.attack(base, token), "\n")
		for _, want := range []string{"fetch: 200", "evaluation: 200", "request: ", "module: createEditor"} {
			if !strings.Contains(learned, want) {
				t.Errorf("the page cannot do %q: %s", want, learned)
			}
		}
		p.forget()
	})
}

func (p *page) attack(base, token string) []string {
	p.Helper()
	arguments, _ := json.Marshal([]string{base, token})
	return eval[[]string](p, fmt.Sprintf("(%s)(...%s)", attack, arguments))
}

// forget forgets what the console says and what the tab has asked for, where that is meant to
// go wrong.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.problems = nil, nil
}

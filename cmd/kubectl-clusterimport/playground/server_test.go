package playground

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// newServer returns a server that nobody is connected to.
func newServer(t *testing.T, live Live) *Server {
	t.Helper()
	s, err := Listen(live)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.listener.Close() })
	return s
}

// request is one as the page sends it.
func request(s *Server, method, path string, body any) *http.Request {
	var reader io.Reader
	if body != nil {
		text, _ := json.Marshal(body)
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, "http://"+s.hosts[0]+path, reader)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "http://"+s.hosts[0])
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set(TokenHeader, s.token)
	return r
}

func serve(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// decode reads an answer.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (value T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		t.Fatalf("%d: %v: %s", w.Code, err, w.Body)
	}
	return value
}

func TestRequestsThatAreNotOfThePageAreRefused(t *testing.T) {
	s := newServer(t, nil)
	port := s.hosts[0][strings.LastIndex(s.hosts[0], ":"):]
	for name, test := range map[string]struct {
		method, path string
		body         any
		change       func(*http.Request)
		code         int
	}{
		"nothing is wrong":                         {"POST", "/api/evaluate", Texts{}, func(*http.Request) {}, http.StatusOK},
		"by the name localhost":                    {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Host = "localhost" + port; r.Header.Set("Origin", "http://localhost"+port) }, http.StatusOK},
		"a program without a browser":              {"GET", "/api/start", nil, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") }, http.StatusOK},
		"a URL that is typed":                      {"GET", "/", nil, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "none") }, http.StatusOK},
		"a name that was made to point here":       {"GET", "/api/start", nil, func(r *http.Request) { r.Host = "evil.example" + port }, http.StatusForbidden},
		"the page under such a name":               {"GET", "/", nil, func(r *http.Request) { r.Host = "evil.example" + port }, http.StatusForbidden},
		"another port":                             {"GET", "/api/start", nil, func(r *http.Request) { r.Host = "127.0.0.1:1" }, http.StatusForbidden},
		"no port":                                  {"GET", "/api/start", nil, func(r *http.Request) { r.Host = "127.0.0.1" }, http.StatusForbidden},
		"another origin":                           {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"the origin of another port":               {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, http.StatusForbidden},
		"the origin of a sandbox":                  {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden},
		"the same name over TLS":                   {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Origin", "https://"+s.hosts[0]) }, http.StatusForbidden},
		"the other name of this host as an origin": {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Origin", "http://localhost"+port) }, http.StatusForbidden},
		"no origin":                                {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Del("Origin") }, http.StatusForbidden},
		"another origin that reads":                {"GET", "/api/start", nil, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"another site":                             {"GET", "/api/start", nil, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"another port of this site":                {"GET", "/", nil, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"a script of another site":                 {"GET", "/assets/page.js", nil, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"no token":                                 {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Del(TokenHeader) }, http.StatusUnauthorized},
		"no token to read":                         {"GET", "/api/start", nil, func(r *http.Request) { r.Header.Del(TokenHeader) }, http.StatusUnauthorized},
		"no token for an example":                  {"GET", "/api/examples/karmada/push", nil, func(r *http.Request) { r.Header.Del(TokenHeader) }, http.StatusUnauthorized},
		"another token":                            {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set(TokenHeader, random()) }, http.StatusUnauthorized},
		"a token in the URL":                       {"GET", "/api/start?token=" + s.token, nil, func(r *http.Request) { r.Header.Del(TokenHeader) }, http.StatusUnauthorized},
		"reading what is evaluated":                {"GET", "/api/evaluate", nil, func(*http.Request) {}, http.StatusMethodNotAllowed},
		"another method":                           {"PUT", "/api/evaluate", Texts{}, func(*http.Request) {}, http.StatusMethodNotAllowed},
		"writing the page":                         {"POST", "/", Texts{}, func(*http.Request) {}, http.StatusMethodNotAllowed},
		"asking what is allowed":                   {"OPTIONS", "/api/evaluate", nil, func(r *http.Request) { r.Header.Set("Access-Control-Request-Method", "POST") }, http.StatusMethodNotAllowed},
		"a form":                                   {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, http.StatusUnsupportedMediaType},
		"a text that needs no permission":          {"POST", "/api/evaluate", Texts{}, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusUnsupportedMediaType},
		"no JSON":                                  {"POST", "/api/evaluate", "text", func(*http.Request) {}, http.StatusBadRequest},
		"too much":                                 {"POST", "/api/evaluate", Texts{Source: strings.Repeat("x", maxBody)}, func(*http.Request) {}, http.StatusRequestEntityTooLarge},
		"an example that does not exist":           {"GET", "/api/examples/karmada/nope", nil, func(*http.Request) {}, http.StatusNotFound},
		"an example outside":                       {"GET", "/api/examples/karmada/..%2F..%2Fpolicy.yaml", nil, func(*http.Request) {}, http.StatusNotFound},
		"a cluster without --live":                 {"POST", "/api/live/sources", SourceRequest{}, func(*http.Request) {}, http.StatusNotFound},
		"a path that does not exist":               {"GET", "/nope", nil, func(*http.Request) {}, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(s, test.method, test.path, test.body)
			test.change(r)
			w := serve(s, r)
			if w.Code != test.code {
				t.Errorf("answered %d, want %d: %.200s", w.Code, test.code, w.Body)
			}
			for header, want := range map[string]string{
				"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			policy := w.Header().Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("the Content-Security-Policy %q lacks %q", policy, want)
				}
			}
			for header := range w.Header() {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("other origins are allowed by %s", header)
				}
			}
		})
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	s := newServer(t, nil)
	r := request(s, "POST", "/api/evaluate", Texts{Source: strings.Repeat("x", maxBody)})
	if got := decode[Refusal](t, serve(s, r)).Error; got != "the texts have more than 4 MiB in all, which the playground does not read" {
		t.Error(got)
	}
}

func TestThePageHasNoScriptOfItsOwn(t *testing.T) {
	s := newServer(t, nil)
	first, second := serve(s, request(s, "GET", "/", nil)), serve(s, request(s, "GET", "/", nil))
	page := first.Body.String()
	for _, script := range regexp.MustCompile(`(?s)<script.*?</script>`).FindAllString(page, -1) {
		if script != `<script src="assets/page.js" type="module"></script>` {
			t.Errorf("the page has the script %s", script)
		}
	}
	for _, forbidden := range []string{"http://", "https://", " style=", "<style", "{{nonce}}", s.token} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %q", forbidden)
		}
	}
	nonce := regexp.MustCompile(`'nonce-([\w-]+)'`).FindStringSubmatch(first.Header().Get("Content-Security-Policy"))
	if nonce == nil || !strings.Contains(page, nonce[1]) || strings.Contains(second.Header().Get("Content-Security-Policy"), nonce[1]) {
		t.Errorf("the nonce %q is not that of one page", nonce)
	}
}

func TestEverythingOfThePageIsServed(t *testing.T) {
	s := newServer(t, nil)
	page := serve(s, request(s, "GET", "/", nil)).Body.String()
	links := regexp.MustCompile(`(?:src|href)="(assets/[^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 4 {
		t.Errorf("the page has only %q", links)
	}
	for _, link := range links {
		if w := serve(s, request(s, "GET", "/"+link[1], nil)); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s is answered with %d", link[1], w.Code)
		}
	}
}

func TestItListensOnLoopbackOnly(t *testing.T) {
	s := newServer(t, nil)
	if address := s.listener.Addr().String(); !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("it listens on %s", address)
	}
	if !strings.HasPrefix(s.URL, "http://127.0.0.1:") || !strings.HasSuffix(s.URL, "/#"+s.token) || len(s.token) < 40 {
		t.Errorf("the URL is %s", s.URL)
	}
}

func TestThePageStartsWithThePlatforms(t *testing.T) {
	s := newServer(t, nil)
	start := decode[Start](t, serve(s, request(s, "GET", "/api/start", nil)))
	if len(start.Platforms) < 16 || start.Cluster != "" {
		t.Errorf("it starts with %+v", start)
	}
	texts := decode[Texts](t, serve(s, request(s, "GET", "/api/examples/karmada/push", nil)))
	evaluated := decode[Evaluation](t, serve(s, request(s, "POST", "/api/evaluate", texts)))
	if evaluated.Result == nil || evaluated.Result.Plan.Action != string(policyv1alpha1.RenderCreate) {
		t.Errorf("evaluated %+v", evaluated)
	}
	if !strings.Contains(evaluated.Result.PediaCluster, "tokenData: hmac-sha256:") {
		t.Errorf("credentials are not masked:\n%s", evaluated.Result.PediaCluster)
	}
}

func TestOneEvaluationRunsAtATimeAndTheNewestWins(t *testing.T) {
	turn := newTurn()
	release, running := make(chan struct{}), make(chan struct{})
	var ran []string
	evaluation := func(name string, wait bool) func(context.Context) error {
		return func(context.Context) error {
			ran = append(ran, name) // only one runs, or the race detector says so
			if wait {
				close(running)
				<-release
			}
			return nil
		}
	}
	first, second, third := make(chan error), make(chan error), make(chan error)
	go func() { first <- turn.run(t.Context(), evaluation("first", true)) }()
	<-running
	ctx, cancel := context.WithCancel(t.Context())
	go func() { second <- turn.run(ctx, evaluation("second", false)) }()
	cancel() // the page has asked for a newer one
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the second ended with %v", err)
	}
	go func() { third <- turn.run(t.Context(), evaluation("third", false)) }()
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first ended with %v", err)
	}
	if err := <-third; err != nil {
		t.Errorf("the third ended with %v", err)
	}
	if got := strings.Join(ran, " "); got != "first third" {
		t.Errorf("%s ran", got)
	}
}

// TestARequestThatIsCanceledIsNotEvaluated cancels over a connection, as a browser does.
func TestARequestThatIsCanceledIsNotEvaluated(t *testing.T) {
	s := newServer(t, nil)
	began, ended := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		s.Handler().ServeHTTP(w, r)
		close(ended)
	}))
	defer server.Close()
	s.hosts = []string{server.Listener.Addr().String()}
	s.turn <- struct{}{} // another one runs, and does not end

	ctx, cancel := context.WithCancel(t.Context())
	r := request(s, "POST", "/api/evaluate", example(t, "karmada", "push")).WithContext(ctx)
	r.RequestURI = ""
	failed := make(chan error)
	go func() {
		_, err := server.Client().Do(r)
		failed <- err
	}()
	<-began
	cancel()
	if err := <-failed; err == nil {
		t.Error("it was answered")
	}
	<-ended // though the other one still runs
}

func TestAnEvaluationThatTakesTooLongIsGivenUp(t *testing.T) {
	s := newServer(t, nil)
	s.deadline = time.Millisecond
	s.turn <- struct{}{} // another one runs, and does not end
	w := serve(s, request(s, "POST", "/api/evaluate", Texts{}))
	if got := decode[Refusal](t, w).Error; w.Code != http.StatusServiceUnavailable || !strings.Contains(got, "takes too long") {
		t.Errorf("answered %d: %s", w.Code, got)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	turn := newTurn()
	if err := turn.run(t.Context(), func(context.Context) error { panic("oops") }); err == nil || !strings.Contains(err.Error(), "bug") {
		t.Errorf("error %v", err)
	}
	if err := turn.run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("the turn was not given back: %v", err)
	}
}

func TestTheServerEndsWithItsContext(t *testing.T) {
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

package playground

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// assets are the page. editor.js is bundled from hack/playground by make playground-assets.
//
//go:embed assets
var assets embed.FS

const (
	// TokenHeader has the token in each request for the API.
	TokenHeader = "X-Playground-Token"

	// maxBody is the size of all texts of a request.
	maxBody = 4 << 20

	defaultDeadline = 20 * time.Second
)

// Server serves the page and its API.
type Server struct {
	// URL is the address of the page. The token is in its fragment, which browsers do not
	// send.
	URL string

	listener net.Listener
	hosts    []string
	token    string
	live     Live // nil without a cluster
	deadline time.Duration
	turn     turn
	evaluator
}

// Listen returns a server that listens on a free port of the loopback address. With live,
// which may be nil, objects of a cluster can be opened.
func Listen(live Live) (*Server, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	digest := offline.NewDigest()
	s := &Server{
		listener: listener,
		hosts:    []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("localhost:%d", port)},
		token:    random(),
		live:     live,
		deadline: defaultDeadline,
		turn:     newTurn(),
		evaluator: evaluator{
			digest: digest,
			masks:  newMasks(digest),
		},
	}
	s.URL = fmt.Sprintf("http://%s/#%s", s.hosts[0], s.token)
	return s, nil
}

// random is a text that nobody can guess.
func random() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// Serve serves until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler serves requests that come from the page, and refuses all others.
func (s *Server) Handler() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /api/start", s.start)
	api.HandleFunc("GET /api/examples/{platform}/{name}", s.example)
	api.HandleFunc("POST /api/evaluate", s.answerEvaluation)
	api.HandleFunc("POST /api/live/sources", s.liveSources)
	api.HandleFunc("POST /api/live/source", s.liveSource)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /assets/{name}", s.asset)
	mux.Handle("/api/", s.onlyWithToken(api))
	return s.onlyFromPage(mux)
}

// onlyFromPage refuses requests of other pages, and of names that somebody has made point to
// this address. What is served cannot be framed, and can load nothing from elsewhere.
func (s *Server) onlyFromPage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", contentSecurityPolicy(""))
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		switch {
		case !slices.Contains(s.hosts, r.Host):
			refuse(w, http.StatusForbidden, "the host %.100q is not that of the playground: use %s", r.Host, s.hosts[0])
		case site != "" && site != "same-origin" && site != "none":
			refuse(w, http.StatusForbidden, "only the page of the playground may ask")
		case origin != "" && origin != "http://"+r.Host,
			origin == "" && r.Method != http.MethodGet && r.Method != http.MethodHead:
			refuse(w, http.StatusForbidden, "the origin %.100q is not that of the playground", origin)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// contentSecurityPolicy allows what the page has and nothing else. Elements of style need the
// nonce: the editor adds its own.
func contentSecurityPolicy(nonce string) string {
	style := "style-src 'self'"
	if nonce != "" {
		style += " 'nonce-" + nonce + "'"
	}
	return strings.Join([]string{"default-src 'none'", "script-src 'self'", style, "img-src 'self'", "connect-src 'self'", "base-uri 'none'",
		"form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"}, "; ")
}

// onlyWithToken refuses requests of whoever has not been given the URL.
func (s *Server) onlyWithToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(TokenHeader)), []byte(s.token)) != 1 {
			refuse(w, http.StatusUnauthorized, "the token is missing or of another playground: open the URL that the command prints")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	text, err := assets.ReadFile("assets/index.html")
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	nonce := random()
	w.Header().Set("Content-Security-Policy", contentSecurityPolicy(nonce))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, strings.ReplaceAll(string(text), "{{nonce}}", nonce))
}

// contentTypes are said of assets: what a machine thinks of an extension may be wrong.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	contentType, ok := contentTypes[path.Ext(name)]
	text, err := assets.ReadFile(path.Join("assets", name))
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(text)
}

// Start is what the page begins with.
type Start struct {
	Platforms []Platform `json:"platforms"`
	// Cluster is the name of the cluster that Sources can be opened from, empty without one.
	Cluster string `json:"cluster,omitempty"`
}

func (s *Server) start(w http.ResponseWriter, _ *http.Request) {
	platforms, err := Platforms()
	start := Start{Platforms: platforms}
	if s.live != nil {
		start.Cluster = s.live.Name()
	}
	answer(w, start, err)
}

func (s *Server) example(w http.ResponseWriter, r *http.Request) {
	texts, err := Example(r.PathValue("platform"), r.PathValue("name"))
	answer(w, texts, err)
}

func (s *Server) answerEvaluation(w http.ResponseWriter, r *http.Request) {
	var texts Texts
	if !read(w, r, &texts) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.deadline)
	defer cancel()
	var evaluated *Evaluation
	err := s.turn.run(ctx, func(ctx context.Context) (err error) {
		evaluated, err = s.evaluate(ctx, texts)
		return err
	})
	if err != nil { // of which evaluated may still be written
		answer(w, nil, err)
		return
	}
	answer(w, evaluated, nil)
}

// SourceRequest asks for the Sources of a policy, or for one of them.
type SourceRequest struct {
	Policy string                     `json:"policy"`
	Source *policyv1alpha1.SourceName `json:"source,omitempty"`
}

func (s *Server) liveSources(w http.ResponseWriter, r *http.Request) {
	s.fromCluster(w, r, func(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, _ SourceRequest) (any, error) {
		return s.live.Sources(ctx, policy)
	})
}

func (s *Server) liveSource(w http.ResponseWriter, r *http.Request) {
	s.fromCluster(w, r, func(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, request SourceRequest) (any, error) {
		if request.Source == nil {
			return nil, errors.New("name a Source")
		}
		objects, err := s.live.Source(ctx, policy, *request.Source)
		if err != nil {
			return nil, err
		}
		return s.masks.texts(objects)
	})
}

// fromCluster answers a request for objects of the cluster that a policy reads.
func (s *Server) fromCluster(w http.ResponseWriter, r *http.Request,
	ask func(context.Context, *policyv1alpha1.ClusterImportPolicy, SourceRequest) (any, error)) {
	if s.live == nil {
		refuse(w, http.StatusNotFound, "the playground was started without --live")
		return
	}
	var request SourceRequest
	if !read(w, r, &request) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.deadline)
	defer cancel()
	policy, err := policyOf(ctx, request.Policy)
	if err != nil {
		answer(w, nil, err)
		return
	}
	found, err := ask(ctx, policy, request)
	answer(w, found, err)
}

// read decodes a request in JSON, or refuses it.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send application/json")
		return false
	}
	var tooLarge *http.MaxBytesError
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	switch err := decoder.Decode(into); {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "the texts have more than %d MiB in all, which the playground does not read", maxBody>>20)
		return false
	case err != nil:
		refuse(w, http.StatusBadRequest, "the request cannot be read: %v", err)
		return false
	}
	return true
}

// answer writes an answer or an error.
func answer(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusServiceUnavailable, "it takes too long and was given up")
	case errors.Is(err, context.Canceled):
		refuse(w, http.StatusServiceUnavailable, "it was canceled")
	case errors.Is(err, errNoExample):
		refuse(w, http.StatusNotFound, "%v", err)
	case err != nil:
		refuse(w, http.StatusUnprocessableEntity, "%v", err)
	default:
		write(w, http.StatusOK, value)
	}
}

// Refusal is the answer to a request that was not served.
type Refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	write(w, code, Refusal{Error: fmt.Sprintf(format, args...)})
}

func write(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // nobody reads the rest of it
}

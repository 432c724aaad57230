package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/util/cert"
)

// httpsServer is a server of the process itself that can be stopped, which cuts
// its connections, and started again on the same port.
type httpsServer struct {
	port        int
	certificate tls.Certificate
	authority   []byte
	handler     http.Handler

	mu      sync.Mutex
	running *http.Server
}

func newHTTPSServer(name string, handler http.Handler) (*httpsServer, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey(name, []net.IP{net.ParseIP(loopback)}, []string{"localhost"})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	port, err := choosePort(0, nil)
	if err != nil {
		return nil, err
	}
	s := &httpsServer{port: port, certificate: pair, authority: certificate, handler: handler}
	return s, s.Start()
}

// Start serves. It does nothing while the server runs.
func (s *httpsServer) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(s.port)))
	if err != nil {
		return err
	}
	s.running = &http.Server{
		Handler:   s.handler,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.certificate}, NextProtos: []string{"h2", "http/1.1"}},
		ErrorLog:  log.New(bytes.NewBuffer(nil), "", 0), // whoever is cut off tells of it
	}
	server := s.running
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return nil
}

// Stop refuses connections from now on and cuts those that there are.
func (s *httpsServer) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	server := s.running
	s.running = nil
	return server.Close()
}

// TypeServer is a small aggregated API server: it serves one type, whose objects
// have no namespace and are kept in memory, also while it is stopped.
type TypeServer struct {
	*httpsServer
	resource schema.GroupVersionResource
	kind     string

	mu      sync.Mutex
	changed chan struct{} // closed at the next event
	objects map[string]*unstructured.Unstructured
	events  []metav1.WatchEvent
	// versions are those of the events, which begin with 1.
	version int
}

// StartTypeServer has the host serve a type by a server of this process, until
// Stop is called.
func (c *Cluster) StartTypeServer(ctx context.Context, resource schema.GroupVersionResource, kind string) (*TypeServer, error) {
	s := &TypeServer{resource: resource, kind: kind, changed: make(chan struct{}), objects: map[string]*unstructured.Unstructured{}}
	const namespace = "default"
	name := strings.ReplaceAll(resource.Group, ".", "-")
	var err error
	if s.httpsServer, err = newHTTPSServer(name+"."+namespace+".svc", s); err != nil {
		return nil, err
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		map[string]any{
			"apiVersion": "v1", "kind": "Service",
			"metadata": map[string]any{"namespace": namespace, "name": name},
			"spec": map[string]any{"type": "ExternalName", "externalName": "localhost",
				"ports": []any{map[string]any{"port": s.port, "protocol": "TCP"}}},
		},
		map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
			"metadata": map[string]any{"name": resource.Version + "." + resource.Group},
			"spec": map[string]any{
				"group": resource.Group, "version": resource.Version, "groupPriorityMinimum": 1000, "versionPriority": 15,
				"service":  map[string]any{"namespace": namespace, "name": name, "port": s.port},
				"caBundle": s.authority,
			},
		},
	}})
	if err == nil {
		_, err = c.Kubectl(ctx, bytes.NewReader(list), "apply", "--server-side", "-f", "-")
	}
	if err == nil {
		err = poll(ctx, func(ctx context.Context) error { return get(ctx, c.Config(), s.path()) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *TypeServer) path() string {
	return "/apis/" + s.resource.Group + "/" + s.resource.Version + "/" + s.resource.Resource
}

// ServeHTTP answers requests of the aggregator.
func (s *TypeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ofObject := strings.CutPrefix(r.URL.Path, s.path()+"/")
	query := r.URL.Query()
	switch {
	case r.URL.Path == "/apis/"+s.resource.Group+"/"+s.resource.Version:
		respond(w, http.StatusOK, s.discovery())
	case ofObject && r.Method == http.MethodGet:
		s.get(w, name)
	case ofObject && r.Method == http.MethodDelete:
		s.delete(w, name)
	case ofObject && r.Method == http.MethodPatch && r.Header.Get("Content-Type") == string(types.MergePatchType):
		s.patch(w, r, name)
	case r.URL.Path != s.path():
		refuse(w, apierrors.NewNotFound(schema.GroupResource{}, ""))
	case r.Method == http.MethodPost:
		s.create(w, r)
	case r.Method != http.MethodGet:
		refuse(w, apierrors.NewMethodNotSupported(s.resource.GroupResource(), r.Method))
	case query.Has("sendInitialEvents"):
		// As a server answers that does not know streaming lists.
		refuse(w, apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", nil))
	case query.Has("watch"):
		s.watch(w, r)
	default:
		s.list(w)
	}
}

func (s *TypeServer) discovery() *metav1.APIResourceList {
	return &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"},
		GroupVersion: s.resource.GroupVersion().String(),
		APIResources: []metav1.APIResource{{
			Name: s.resource.Resource, SingularName: strings.ToLower(s.kind), Kind: s.kind,
			Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "watch"},
		}},
	}
}

func (s *TypeServer) get(w http.ResponseWriter, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[name]
	if !ok {
		refuse(w, apierrors.NewNotFound(s.resource.GroupResource(), name))
		return
	}
	respond(w, http.StatusOK, object)
}

func (s *TypeServer) list(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(s.resource.GroupVersion().String())
	list.SetKind(s.kind + "List")
	list.SetResourceVersion(strconv.Itoa(s.version + 1))
	for _, object := range s.objects {
		list.Items = append(list.Items, *object)
	}
	respond(w, http.StatusOK, list)
}

func (s *TypeServer) create(w http.ResponseWriter, r *http.Request) {
	object := &unstructured.Unstructured{}
	if err := json.NewDecoder(r.Body).Decode(&object.Object); err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[object.GetName()] != nil {
		refuse(w, apierrors.NewAlreadyExists(s.resource.GroupResource(), object.GetName()))
		return
	}
	object.SetUID(uuid.NewUUID())
	object.SetCreationTimestamp(metav1.Now())
	s.record("ADDED", object)
	s.objects[object.GetName()] = object
	respond(w, http.StatusCreated, object)
}

func (s *TypeServer) patch(w http.ResponseWriter, r *http.Request, name string) {
	var patch map[string]any
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[name]
	if !ok {
		refuse(w, apierrors.NewNotFound(s.resource.GroupResource(), name))
		return
	}
	object = object.DeepCopy()
	merge(object.Object, patch)
	s.record("MODIFIED", object)
	s.objects[name] = object
	respond(w, http.StatusOK, object)
}

// merge applies a JSON merge patch.
func merge(object, patch map[string]any) {
	for key, value := range patch {
		change, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(object, key)
		case isMap:
			below, ok := object[key].(map[string]any)
			if !ok {
				below = map[string]any{}
				object[key] = below
			}
			merge(below, change)
		default:
			object[key] = value
		}
	}
}

func (s *TypeServer) delete(w http.ResponseWriter, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[name]
	if !ok {
		refuse(w, apierrors.NewNotFound(s.resource.GroupResource(), name))
		return
	}
	delete(s.objects, name)
	object = object.DeepCopy()
	s.record("DELETED", object)
	respond(w, http.StatusOK, object)
}

// record gives the object the next version and tells watches of it.
func (s *TypeServer) record(event string, object *unstructured.Unstructured) {
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version + 1))
	text, err := object.MarshalJSON()
	if err != nil {
		panic(err) // it was JSON
	}
	s.events = append(s.events, metav1.WatchEvent{Type: event})
	s.events[len(s.events)-1].Object.Raw = text
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *TypeServer) watch(w http.ResponseWriter, r *http.Request) {
	next, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil || next < 1 {
		refuse(w, apierrors.NewBadRequest("a watch needs the resourceVersion of a list"))
		return
	}
	next-- // how many events were seen
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := func() { _ = http.NewResponseController(w).Flush() }
	flush()
	for {
		s.mu.Lock()
		events, changed := slices.Clone(s.events[min(next, len(s.events)):]), s.changed
		s.mu.Unlock()
		for _, event := range events {
			if err := json.NewEncoder(w).Encode(event); err != nil {
				return
			}
		}
		next += len(events)
		flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func respond(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object)
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.APIVersion, status.Kind = "v1", "Status"
	respond(w, int(status.Code), status)
}

// ConversionWebhook converts custom resources by changing nothing but their
// version.
type ConversionWebhook struct{ *httpsServer }

// StartConversionWebhook starts a webhook, until Stop is called.
func StartConversionWebhook() (*ConversionWebhook, error) {
	server, err := newHTTPSServer(loopback, http.HandlerFunc(convert))
	return &ConversionWebhook{server}, err
}

// Conversion is what a CustomResourceDefinition says of the webhook.
func (w *ConversionWebhook) Conversion() map[string]any {
	return map[string]any{
		"strategy": "Webhook",
		"webhook": map[string]any{
			"conversionReviewVersions": []any{"v1"},
			"clientConfig": map[string]any{
				"url":      fmt.Sprintf("https://%s:%d/convert", loopback, w.port),
				"caBundle": base64.StdEncoding.EncodeToString(w.authority),
			},
		},
	}
}

func convert(w http.ResponseWriter, r *http.Request) {
	var review struct {
		metav1.TypeMeta `json:",inline"`
		Request         struct {
			UID               string           `json:"uid"`
			DesiredAPIVersion string           `json:"desiredAPIVersion"`
			Objects           []map[string]any `json:"objects"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, object := range review.Request.Objects {
		object["apiVersion"] = review.Request.DesiredAPIVersion
	}
	respond(w, http.StatusOK, map[string]any{
		"apiVersion": review.APIVersion, "kind": review.Kind,
		"response": map[string]any{
			"uid": review.Request.UID, "convertedObjects": review.Request.Objects,
			"result": map[string]any{"status": "Success"},
		},
	})
}

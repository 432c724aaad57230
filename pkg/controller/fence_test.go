package controller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles/lifecyclestest"
)

// lock is a lease that says what the test wants.
type lock struct {
	holder string
	err    error
}

func (l *lock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: l.holder}, nil, l.err
}

func (l *lock) Create(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Update(context.Background(), record)
}

func (l *lock) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.err == nil {
		l.holder = record.HolderIdentity
	}
	return l.err
}

func (l *lock) RecordEvent(string) {}
func (l *lock) Identity() string   { return "me" }
func (l *lock) Describe() string   { return "ns/lease" }

// testTerm is a term of seven seconds' patience at a time that the test sets.
type testTerm struct {
	*term
	lock  *lock
	time  time.Time
	ended bool
}

func newTestTerm() *testTerm {
	t := &testTerm{lock: &lock{}, time: time.Now()}
	t.term = &term{
		Interface: t.lock, patience: 7 * time.Second, finished: make(chan struct{}),
		end: func() { t.ended = true },
		now: func() time.Time { return t.time },
	}
	return t
}

func (t *testTerm) renew(test *testing.T) {
	test.Helper()
	if err := t.Update(test.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err != nil {
		test.Fatal(err)
	}
}

func TestNoRequestBeginsOnceTheLeaseMayBeAnothers(t *testing.T) {
	var arrived atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer server.Close()
	term := newTestTerm()
	config := &rest.Config{Host: server.URL}
	client, err := rest.HTTPClientFor(term.fenced(config))
	if err != nil {
		t.Fatal(err)
	}
	if config.WrapTransport != nil {
		t.Error("the configuration that others use was changed")
	}
	send := func() error {
		response, err := client.Post(server.URL, "", strings.NewReader("a write"))
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	expect := func(when, refusal string) {
		t.Helper()
		before := arrived.Load()
		err := send()
		if refusal == "" && (err != nil || arrived.Load() != before+1) {
			t.Errorf("%s: %v", when, err)
		}
		if refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal) || arrived.Load() != before) {
			t.Errorf("%s: a request was sent: %v", when, err)
		}
	}

	expect("before the lease was acquired", "not held")
	term.renew(t)
	expect("with the lease", "")
	term.time = term.time.Add(7 * time.Second)
	expect("at the last moment", "")
	term.time = term.time.Add(time.Millisecond)
	expect("after it", "last renewed 7.001s ago")
	term.lock.err = errors.New("the host does not answer")
	if err := term.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err == nil {
		t.Error("a renewal that failed is reported as success")
	}
	expect("after a renewal that failed", "last renewed")
	term.lock.err = nil
	term.renew(t)
	expect("after a late renewal", "")
}

func TestARenewalCountsFromWhenItWasSent(t *testing.T) {
	term := newTestTerm()
	sent := term.time
	slow := func() error {
		term.time = term.time.Add(8 * time.Second)
		return nil
	}
	if err := term.hold(slow); err != nil {
		t.Fatal(err)
	}
	if !term.renewed.Load().Equal(sent) || term.checkHeld() == nil {
		t.Error("an answer that took eight seconds counts as fresh")
	}
}

func TestAMachineThatSleptIsNotTrusted(t *testing.T) {
	term := newTestTerm()
	term.renew(t)
	// Its monotonic clock stood still; the wall clock was set right.
	renewed := term.renewed.Load().Add(-time.Minute).Round(0)
	term.renewed.Store(&renewed)
	term.time = time.Now()
	if term.checkHeld() == nil {
		t.Error("by the wall clock the renewal is a minute old")
	}
}

func TestATermIsOverWhenTheLeaseHasBeenAnothers(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "lease")
	for name, seen := range map[string]lock{
		"it is another's":           {holder: "you"},
		"another has given it back": {holder: ""},
		"somebody has deleted it":   {holder: "me", err: missing},
	} {
		t.Run(name, func(t *testing.T) {
			term := newTestTerm()
			if _, _, err := term.Get(t.Context()); err != nil || term.ended {
				t.Fatalf("a lease that is free ends a term that has not begun: %v", err)
			}
			term.renew(t)
			if _, _, err := term.Get(t.Context()); err != nil || term.ended {
				t.Fatalf("our own lease ends the term: %v", err)
			}
			*term.lock = seen
			if _, _, err := term.Get(t.Context()); err == nil || apierrors.IsNotFound(err) {
				t.Errorf("the election may go on: %v", err)
			}
			if !term.ended || term.checkHeld() == nil {
				t.Error("the term goes on")
			}
		})
	}
	// The host's silence says nothing of other leaders.
	term := newTestTerm()
	term.renew(t)
	term.lock.err = errors.New("the host does not answer")
	if _, _, err := term.Get(t.Context()); err == nil || term.ended || term.checkHeld() != nil {
		t.Errorf("the host did not answer, and the term is over: %v", err)
	}
}

func TestTheLeaseIsGivenBackAfterTheWork(t *testing.T) {
	term := newTestTerm()
	term.renew(t)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if err := term.Update(impatient, resourcelock.LeaderElectionRecord{}); err == nil || term.lock.holder != "me" {
		t.Fatalf("it was given back while the controllers work: %v", err)
	}
	if !term.ended {
		t.Error("the controllers were not told to end")
	}
	close(term.finished)
	if err := term.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil || term.lock.holder != "" {
		t.Errorf("it was not given back: %v", err)
	}
	if term.checkHeld() == nil {
		t.Error("requests are sent without a lease")
	}
}

// Every request to the storage of lifecycles is fenced, whatever methods it will have.
func TestNoRequestToStorageBeginsOnceTheLeaseMayBeAnothers(t *testing.T) {
	term := newTestTerm()
	storage := lifecyclestest.New(lifecycleOfMCP("a"))
	fenced := reflect.ValueOf(&fencedStorage{term: term.term, storage: storage})
	request := func(method string) error {
		m := fenced.MethodByName(method)
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < m.Type().NumIn(); n++ {
			argument := reflect.New(m.Type().In(n)).Elem()
			switch argument.Interface().(type) {
			case *lifecycles.Lifecycle:
				argument.Set(reflect.ValueOf(lifecycleOfMCP("a")))
			case string:
				argument.SetString("a")
			}
			arguments = append(arguments, argument)
		}
		results := m.Call(arguments)
		err, _ := results[len(results)-1].Interface().(error)
		return err
	}
	methods := 0
	for method := range reflect.TypeFor[lifecycles.WatchableStorage]().Methods() {
		methods++
		if err := request(method.Name); err == nil || !strings.Contains(err.Error(), "not held") {
			t.Errorf("without the lease, %s: %v", method.Name, err)
		}
	}
	if methods < 9 || len(storage.Writes()) > 0 {
		t.Errorf("of %d methods some were called: %v", methods, storage.Writes())
	}
	term.renew(t)
	for method := range reflect.TypeFor[lifecycles.WatchableStorage]().Methods() {
		if err := request(method.Name); err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			t.Errorf("with the lease, %s: %v", method.Name, err)
		}
	}
	if len(storage.Writes()) == 0 {
		t.Error("with the lease, nothing is written")
	}
	term.time = term.time.Add(time.Minute)
	if err := request("Get"); err == nil || !strings.Contains(err.Error(), "last renewed") {
		t.Errorf("with an old lease: %v", err)
	}
}

func TestTheLeaseIsMadeForThisReplica(t *testing.T) {
	term := newTestTerm()
	if err := term.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err != nil || term.checkHeld() != nil {
		t.Errorf("%v, %v", err, term.checkHeld())
	}
}

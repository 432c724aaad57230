package probe

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

// delays records when a cluster would be asked again, instead of doing so.
type delays struct {
	workqueue.TypedDelayingInterface[string]
	last time.Duration
}

func (d *delays) AddAfter(_ string, delay time.Duration) { d.last = delay }

// newProber returns one that is told by the test when to ask.
func newProber(t *testing.T, changed func(string)) (*Prober, *delays) {
	t.Helper()
	p := New(allowing, changed)
	recorded := &delays{TypedDelayingInterface: p.queue}
	p.queue = recorded
	t.Cleanup(recorded.ShutDown)
	return p, recorded
}

func TestOnlyAnotherResultIsAChange(t *testing.T) {
	ca := newAuthority(t)
	var status atomic.Int32
	status.Store(http.StatusOK)
	server := ca.serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer("/readyz", int(status.Load()), "")(w, r)
	})
	var changes int
	p, _ := newProber(t, func(name string) {
		if name != "one" {
			t.Errorf("%q has changed", name)
		}
		changes++
	})
	p.Set("one", Target{APIServer: server.URL, CAData: b64(ca.pem), TokenData: b64(secret)})
	if result, ok := p.Result("one"); ok {
		t.Errorf("before the first probe: %+v", result)
	}
	for i, step := range []struct {
		status  int32
		changes int
		ready   metav1.ConditionStatus
	}{{200, 1, "True"}, {200, 1, "True"}, {503, 2, "False"}, {503, 2, "False"}, {500, 3, "False"}, {200, 4, "True"}, {200, 4, "True"}} {
		status.Store(step.status)
		p.probe(t.Context(), "one")
		if result, ok := p.Result("one"); !ok || result.Ready != step.ready || changes != step.changes {
			t.Errorf("after probe %d: %d changes, %v, %+v", i, changes, ok, result)
		}
	}

	server.Close()
	p.probe(t.Context(), "one")
	if result, _ := p.Result("one"); result.Ready != metav1.ConditionFalse || result.Version != "v1.37.2" {
		t.Errorf("the version last known is not kept: %+v", result)
	}
	p.Set("one", Target{APIServer: "https://one.invalid"})
	p.probe(t.Context(), "one")
	if result, _ := p.Result("one"); result.Version != "" {
		t.Errorf("the version of another endpoint is kept: %+v", result)
	}
}

func TestAClusterThatIsNotReadyIsAskedLessAndLess(t *testing.T) {
	ca := newAuthority(t)
	var status atomic.Int32
	server := ca.serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer("/readyz", int(status.Load()), "")(w, r)
	})
	p, recorded := newProber(t, func(string) {})
	target := Target{APIServer: server.URL, CAData: b64(ca.pem)}
	p.Set("one", target)
	probe := func(answer int32, want time.Duration) {
		t.Helper()
		status.Store(answer)
		p.probe(t.Context(), "one")
		if most := want + time.Duration(jitter*float64(want)); recorded.last < want || recorded.last > most {
			t.Errorf("asked again after %v, want %v to %v", recorded.last, want, most)
		}
	}
	probe(200, time.Minute)
	for _, seconds := range []int{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		probe(503, time.Duration(seconds)*time.Second)
	}
	probe(200, time.Minute)
	probe(503, 5*time.Second)
	probe(503, 10*time.Second)
	p.Set("one", target) // changes nothing
	probe(503, 20*time.Second)
	target.TokenData = b64(secret)
	p.Set("one", target)
	probe(503, 5*time.Second)
}

func TestOnlyANewTargetIsAskedAtOnce(t *testing.T) {
	p, _ := newProber(t, func(string) {})
	target := Target{APIServer: "https://one.invalid", TokenData: b64("old")}
	for i, step := range []struct {
		token string
		want  int
	}{{"old", 1}, {"old", 0}, {"new", 1}, {"new", 0}} {
		target.TokenData = b64(step.token)
		p.Set("one", target)
		if got := p.queue.Len(); got != step.want {
			t.Errorf("step %d: %d in the queue", i, got)
		}
		if step.want > 0 {
			name, _ := p.queue.Get()
			p.queue.Done(name)
		}
	}
}

func TestAForgottenClusterIsNotAskedAndHasNoResult(t *testing.T) {
	ca := newAuthority(t)
	var asked atomic.Int32
	var p *Prober
	during := func() {}
	server := ca.serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		during()
		kubernetes(w, r)
	})
	changes := 0
	p, recorded := newProber(t, func(string) { changes++ })
	target := Target{APIServer: server.URL, CAData: b64(ca.pem)}

	p.Set("one", target)
	p.Forget("one")
	p.probe(t.Context(), "one")
	if n := asked.Load(); n > 0 {
		t.Errorf("asked %d times", n)
	}

	// Forgotten while it is asked, and even if it comes back the same.
	p.Set("one", target)
	during = func() { p.Forget("one"); p.Set("one", target) }
	p.probe(t.Context(), "one")
	if result, ok := p.Result("one"); ok || changes > 0 || recorded.last > 0 {
		t.Errorf("%d changes, asked again after %v, %+v", changes, recorded.last, result)
	}
	if p.queue.Len() != 1 {
		t.Error("the one that came back is not asked")
	}
}

func TestRunAsksUntilTheContextEnds(t *testing.T) {
	ca := newAuthority(t)
	reached := make(chan struct{}, 1)
	server := ca.serve(t, guarded(hasToken(secret)))
	silent := ca.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	changed := make(chan string, 10)
	config := allowing
	config.Interval, config.MinBackoff, config.MaxBackoff, config.Timeout = time.Hour, time.Hour, time.Hour, time.Hour
	p := New(config, func(name string) { changed <- name })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()

	target := Target{APIServer: server.URL, CAData: b64(ca.pem), TokenData: b64("old")}
	p.Set("one", target)
	<-changed
	if result, _ := p.Result("one"); result.Ready != metav1.ConditionFalse {
		t.Errorf("with the old token: %+v", result)
	}
	target.TokenData = b64(secret)
	p.Set("one", target) // asked at once: the next probe would be in an hour
	<-changed
	if result, _ := p.Result("one"); result.Ready != metav1.ConditionTrue {
		t.Errorf("with the new token: %+v", result)
	}

	p.Set("two", Target{APIServer: silent.URL, CAData: b64(ca.pem)})
	<-reached
	cancel()
	<-ended
	if result, ok := p.Result("two"); ok {
		t.Errorf("the end of the prober is a result: %+v", result)
	}
	p.Set("three", target) // harmless
}

func TestRunAsksAgain(t *testing.T) {
	ca := newAuthority(t)
	var asked atomic.Int32
	server := ca.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && asked.Add(1) <= 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		kubernetes(w, r)
	})
	changed := make(chan string, 10)
	config := allowing
	config.Interval, config.MinBackoff, config.MaxBackoff = time.Millisecond, time.Millisecond, time.Millisecond
	p := New(config, func(name string) { changed <- name })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	p.Set("one", Target{APIServer: server.URL, CAData: b64(ca.pem)})
	<-changed
	<-changed
	if result, _ := p.Result("one"); result.Ready != metav1.ConditionTrue {
		t.Errorf("got %+v", result)
	}
	cancel()
	<-ended
}

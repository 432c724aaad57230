// Package confirm is for questions to a server that many ask at a time, and whose
// answers must be newer than what made each of them ask.
package confirm

import (
	"fmt"
	"sync"
)

// Group has calls share questions, one at a time for each key. Unlike those of
// golang.org/x/sync/singleflight, a call takes no answer to a question that was
// asked before it. The zero value is ready to use.
type Group[K comparable, V any] struct {
	mu   sync.Mutex
	keys map[K]*questions[V]
}

// questions are those of one key, nil for none.
type questions[V any] struct {
	// asked may be answered already; next is not asked yet, and calls may join it.
	asked, next *question[V]
}

type question[V any] struct {
	answered chan struct{}
	value    V
	err      error
}

// Do returns the answer to a question that is asked after the call, by this call
// or by another one with the same key.
func (g *Group[K, V]) Do(key K, ask func() (V, error)) (V, error) {
	g.mu.Lock()
	of, ok := g.keys[key]
	if !ok {
		if g.keys == nil {
			g.keys = map[K]*questions[V]{}
		}
		of = &questions[V]{}
		g.keys[key] = of
	}
	if shared := of.next; shared != nil {
		g.mu.Unlock()
		<-shared.answered
		return shared.value, shared.err
	}
	before, own := of.asked, &question[V]{answered: make(chan struct{}), err: fmt.Errorf("the request for %v was interrupted; it is repeated", key)}
	of.next = own
	g.mu.Unlock()

	if before != nil {
		<-before.answered
	}
	g.mu.Lock()
	of.asked, of.next = own, nil
	g.mu.Unlock()
	defer func() { // should the question panic, too
		close(own.answered)
		g.mu.Lock()
		defer g.mu.Unlock()
		if of.asked == own && of.next == nil {
			delete(g.keys, key)
		}
	}()
	own.value, own.err = ask()
	return own.value, own.err
}

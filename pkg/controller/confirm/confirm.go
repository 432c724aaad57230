// Package confirm is for live reads that many callers make at a time, and whose results must be
// newer than what made each of them ask.
package confirm

import (
	"fmt"
	"sync"
)

// Group has callers share requests, one at a time for each key. Unlike with
// golang.org/x/sync/singleflight, a caller gets no response to a request that was
// sent before it called. The zero value is ready to use.
type Group[K comparable, V any] struct {
	mu   sync.Mutex
	keys map[K]*requests[V]
}

// requests are those of one key, nil for none.
type requests[V any] struct {
	// sent may have its response already; next is not sent yet, and callers may join it.
	sent, next *request[V]
}

type request[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Do returns the response to a request that is sent after the call, by this caller
// or by another one with the same key.
func (g *Group[K, V]) Do(key K, send func() (V, error)) (V, error) {
	g.mu.Lock()
	of, ok := g.keys[key]
	if !ok {
		if g.keys == nil {
			g.keys = map[K]*requests[V]{}
		}
		of = &requests[V]{}
		g.keys[key] = of
	}
	if shared := of.next; shared != nil {
		g.mu.Unlock()
		<-shared.done
		return shared.value, shared.err
	}
	before, own := of.sent, &request[V]{done: make(chan struct{}), err: fmt.Errorf("the request for %v was interrupted; it is repeated", key)}
	of.next = own
	g.mu.Unlock()

	if before != nil {
		<-before.done
	}
	g.mu.Lock()
	of.sent, of.next = own, nil
	g.mu.Unlock()
	defer func() { // also if send panics
		close(own.done)
		g.mu.Lock()
		defer g.mu.Unlock()
		if of.sent == own && of.next == nil {
			delete(g.keys, key)
		}
	}()
	own.value, own.err = send()
	return own.value, own.err
}

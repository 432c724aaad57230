package servedtypes

import (
	"fmt"
	"sync"
)

// confirmations has calls share questions to the host, one at a time for each
// type. A call takes no answer to a question that was asked before it: what was
// found absent meanwhile is not covered by that.
type confirmations struct {
	mu   sync.Mutex
	next map[Type]*confirmation
	// asking is full while the host is asked about a type.
	asking map[Type]chan struct{}
}

// confirmation is a question that was not asked yet, and later its answer.
type confirmation struct {
	answered chan struct{}
	err      error
}

// share returns the answer to a question that is asked after the call.
func (c *confirmations) share(resolved Type, ask func() error) error {
	c.mu.Lock()
	shared, others := c.next[resolved]
	if others {
		c.mu.Unlock()
		<-shared.answered
		return shared.err
	}
	if c.next == nil {
		c.next, c.asking = map[Type]*confirmation{}, map[Type]chan struct{}{}
	}
	shared = &confirmation{answered: make(chan struct{}), err: fmt.Errorf("confirming that %s is there broke off; it is tried again", resolved.GroupResource())}
	c.next[resolved] = shared
	asking, ok := c.asking[resolved]
	if !ok {
		asking = make(chan struct{}, 1)
		c.asking[resolved] = asking
	}
	c.mu.Unlock()

	asking <- struct{}{}
	defer func() { <-asking }()
	c.mu.Lock()
	delete(c.next, resolved)
	c.mu.Unlock()
	defer close(shared.answered) // should the question panic, too
	shared.err = ask()
	return shared.err
}

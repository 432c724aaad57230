package playground

import (
	"context"
	"fmt"
)

// turn lets one evaluation run at a time. Those whose page has asked for a newer one have
// their context canceled while they wait, and never run.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// run runs the function when no other runs. It returns when the context ends; a function
// that runs then keeps its turn until it returns: it cannot be stopped between two looks at
// the context, and there are never two.
func (t turn) run(ctx context.Context, f func(context.Context) error) error {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-t }()
		done <- withoutPanic(ctx, f)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withoutPanic makes a panic an error of this evaluation. It would end the process, and what
// is typed next may do without it.
func withoutPanic(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this is a bug of the playground; report it: %v", r)
		}
	}()
	return f(ctx)
}

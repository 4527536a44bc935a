package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// How often a call is made, and how long to wait before the second time. The wait doubles
// each time, and is up to half longer by chance.
const (
	attempts  = 3
	firstWait = 100 * time.Millisecond
)

// A permanent error is one that another attempt would not cure.
type permanent struct{ error }

// Unwrap returns the error.
func (p permanent) Unwrap() error { return p.error }

// retry makes a call, again if it returns an error that is not permanent.
func retry(ctx context.Context, call func() error) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := call()
		var last permanent
		switch {
		case err == nil:
			return nil
		case errors.As(err, &last):
			return last.error
		case n == attempts || ctx.Err() != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait + rand.N(wait/2)):
			wait *= 2
		}
	}
}

// concurrent is how many calls are made at once.
const concurrent = 8

// inParallel calls do for the numbers below n and returns the first error. After an error
// it begins no other call.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	next := make(chan int)
	for range min(n, concurrent) {
		all.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

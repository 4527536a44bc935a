package varlink

import (
	"errors"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestGate: those who wait are let in in their order; who gives up makes way.
func TestGate(t *testing.T) {
	g := &Gate{Limit: 10}
	if err := g.enter(11, nil); !errors.Is(err, ErrTooHeavy) {
		t.Errorf("more than there is: %v", err)
	}
	if err := g.enter(6, nil); err != nil {
		t.Fatal(err)
	}
	waiting := func(n int) {
		t.Helper()
		harness.Eventually(t, "it waits", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.queue) == n
		})
	}
	gone := make(chan struct{})
	first, second := make(chan error), make(chan error)
	go func() { first <- g.enter(10, gone) }()
	waiting(1)
	go func() { second <- g.enter(3, nil) }() // there is room, but it is not its turn
	waiting(2)
	close(gone)
	if err := <-first; !errors.Is(err, ErrBrokenOff) {
		t.Errorf("who gave up: %v", err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	g.leave(6)
	g.leave(3)
	if n := g.InUse(); n != 0 {
		t.Errorf("%d in use", n)
	}
}

package tracer

import (
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
)

// inject is not called: nothing is injected here.
func (linux) inject(*injection, bool) (done bool, sig unix.Signal) { return false, 0 }

// takeBack and leave are not called either.
func (linux) takeBack(int, uint64) bool                   { return false }
func (linux) leave(int, uint64, []slots.Led, *slots.Ring) {}

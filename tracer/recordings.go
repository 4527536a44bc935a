package tracer

import (
	"crypto/rand"
	"encoding/binary"
	"runtime"
	"time"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
)

// newRecordings returns what processes of the session record, nil if none is to, or can.
// If something is not possible here, the calls are notified, as without it.
func (s *session) newRecordings() *recordings {
	if s.cmd.Recorder == RecorderOff || s.cmd.Lifecycle != LifecyclePtrace || runtime.GOARCH != "amd64" {
		return nil
	}
	counter, err := slots.NewCounter()
	if err != nil {
		return nil
	}
	r := &recordings{
		queue: s.queue, index: s.index, incomplete: s.incomplete, counter: counter,
		notable: make(map[uint32]bool), modules: make(map[string]*module), injections: make(map[int]*injection), begun: make(chan struct{}, 1),
	}
	var key [8]byte
	_, _ = rand.Read(key[:]) // it never fails
	r.key = seccomp.Key(binary.NativeEndian.Uint64(key[:]))
	for _, name := range slots.Calls() {
		for _, nr := range s.index.Native().Numbers(name) {
			r.notable[nr] = true
		}
	}
	return r
}

// CheckRecorder reports whether processes can record their own calls here, as far as that
// can be found out without starting one: nil if they can. It leaves nothing, and needs no
// privilege.
func CheckRecorder() error { return slots.Try() }

// filterKey returns what the filter lets through.
func (s *recordings) filterKey() (*seccomp.Key, []string) {
	if s == nil {
		return nil, nil
	}
	return &s.key, slots.Calls()
}

// restricts is called for a process that is about to have a filter, or another root
// directory or mounts.
func (s *recordings) restricts(p *process) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setApart(p)
}

// counts says how many calls were recorded.
func (s *recordings) counts() (c Calls) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.Recorded, c.Recorders = s.recorded, s.processes
	}
	return c
}

// close lets go of all slots. Processes that are left keep theirs, which are closed.
func (s *recordings) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.sources {
		src.ring.Open(0)
		src.closeRing()
	}
	s.sources = nil
	_ = s.counter.Close()
}

// collectByClock collects what was recorded now and then: no call may be notified for a
// while. It ends with the receiver.
func (r *receiver) collectByClock() {
	s := r.recordings
	h := &hand{receiver: r, wake: make(chan struct{}, 1)}
	h.observer, h.memory.Marker = observe.New(r.common, h), h
	done := false
	defer func() {
		if !done { // a look-up was given up
			go r.collectByClock()
		}
	}()
	select {
	case <-s.begun:
	case <-r.ended:
		done = true
		return
	}
	signal(s.begun) // for who comes after
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-r.ended:
			done = true
			return
		}
		if !h.collect() {
			done = true
			return
		}
	}
}

// collect looks at what was recorded. It reports whether there may be more.
func (h *hand) collect() bool {
	h.recordings.suspect()
	h.recordings.collect(false)
	h.mu.Lock()
	defer func() { // but by Goexit
		if !h.givenUp {
			h.observer.Close()
			h.mu.Unlock()
		}
	}()
	if h.retired {
		return false
	}
	h.holder.Store(h)
	h.recordings.look(h.observer, h)
	return true
}

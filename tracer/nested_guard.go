package tracer

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/nested"
	"golang.org/x/sys/unix"
)

// A guardLine is how the guard of an inner fstrace is asked. The caller of the call that
// it is asked about waits meanwhile, nobody else: the guard itself makes file calls,
// which are notified.
type guardLine struct {
	file   *os.File
	signs  atomic.Uint64 // how many packets have come
	broken atomic.Bool   // nobody is asked any more

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan struct{}
}

const (
	// A guard must give a sign of life within guardTicks of guardTick, and be done within
	// maxGuard. Ticks are counted, so that the time does not count in which fstrace
	// itself was stopped.
	guardTick  = 50 * time.Millisecond
	guardTicks = 100
	maxGuard   = 10 * time.Minute
	// maxGuarded is how many calls may wait for guards. Each takes a thread.
	maxGuarded = 256
)

// connectGuard gives an inner fstrace a socket for questions.
func (in *inner) connectGuard() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("guard: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("guard: %w", err)
	}
	g := &guardLine{file: os.NewFile(uintptr(pair[0]), "guard"), waiting: make(map[uint64]chan struct{})}
	// Nothing else is sent before: the descriptor comes with this message.
	if err := control(in.conn, func(fd int) error {
		return unix.Sendmsg(fd, nested.AppendGuard(nil), unix.UnixRights(pair[1]), nil, unix.MSG_NOSIGNAL)
	}); err != nil {
		g.file.Close()
		return fmt.Errorf("guard: %w", err)
	}
	in.guard = g
	go g.receive()
	return nil
}

// receive takes answers, until the other end is closed.
func (g *guardLine) receive() {
	defer g.giveUp()
	b := make([]byte, nested.MaxQuestion)
	for {
		n, err := g.file.Read(b)
		if n == 0 || err != nil {
			return
		}
		var a nested.Answer
		if a.Decode(b[:n]) != nil {
			return
		}
		g.signs.Add(1)
		g.mu.Lock()
		if c := g.waiting[a.ID]; c != nil {
			close(c)
			delete(g.waiting, a.ID)
		}
		g.mu.Unlock()
	}
}

// giveUp lets all go on that wait for an answer, and has nobody wait any more.
func (g *guardLine) giveUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken.Store(true)
	for id, c := range g.waiting {
		close(c)
		delete(g.waiting, id)
	}
}

func (g *guardLine) close() {
	if g != nil {
		g.file.Close()
		g.giveUp()
	}
}

// put asks a question. The channel is closed when it is answered, or will not be; nil
// says that it could not be put.
func (g *guardLine) put(op events.Op, path string, info *events.FileInfo) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken.Load() {
		return nil
	}
	g.last++
	q := nested.Question{ID: g.last, Op: op, Path: path, Info: *info}
	var err error
	// Not g.file.Write, which would wait.
	if rawErr := control(g.file, func(fd int) error {
		err = unix.Send(fd, q.Append(nil), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return nil
	}); rawErr != nil || err != nil {
		return nil
	}
	c := make(chan struct{})
	g.waiting[q.ID] = c
	return c
}

// await waits for an answer, and reports whether there was one.
func (g *guardLine) await(answered <-chan struct{}) bool {
	ticker := time.NewTicker(guardTick)
	defer ticker.Stop()
	signs, silent := g.signs.Load(), 0
	for begin := time.Now(); time.Since(begin) < maxGuard; {
		select {
		case <-answered:
			return !g.broken.Load()
		case <-ticker.C:
		}
		now := g.signs.Load()
		if silent++; now != signs {
			signs, silent = now, 0
		}
		if silent > guardTicks {
			break
		}
	}
	return false
}

// wantGuard reports whether the guard of one that a process belongs to has to be asked.
func (f *family) wantGuard() bool {
	for ; f != nil; f = f.up {
		if f.inner.guard != nil && !f.inner.over.Load() {
			return true
		}
	}
	return false
}

// guardInners asks the guards of those that a process belongs to.
func (h *hand) guardInners(f *family, op events.Op, path string, info events.FileInfo) {
	type question struct {
		*inner
		answered <-chan struct{}
	}
	var list []question
	for ; f != nil; f = f.up {
		in := f.inner
		if in.guard == nil || in.over.Load() {
			continue
		}
		q := question{inner: in}
		if len(h.aside) < maxGuarded {
			q.answered = in.guard.put(op, path, &info)
		}
		list = append(list, q)
	}
	if len(list) == 0 {
		return
	}
	h.goAside()
	for _, q := range list {
		if q.answered == nil || !q.guard.await(q.answered) {
			q.guard.giveUp()
			q.gap(events.ReasonNested, 0, "before a change it was not waited for: this fstrace did not answer the outer one in time")
		}
	}
	h.Leave()
}

// goAside is enter, with the lock given up at once. leave must be called after it.
func (h *hand) goAside() {
	h.turn += turnUnit
	h.state.Store(h.turn | away)
	h.stepAside(h)
	h.mu.Unlock()
}

package tracer

import (
	"bytes"
	"errors"
	"slices"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A process that makes many calls gets the recorder at one of them. The hand that has
// received the call prepares all that can be prepared, gives the process the descriptors
// of its slots and of the counter, sends the thread a SIGSTOP, and answers the call in
// such a way that the kernel starts it again after the signal, as for a caller of ptrace
// (release_to_debugger.go). The signal's delivery stops the thread, and the tracer thread
// does the rest (inject_linux_amd64.go): the call then comes to the site anew, which
// leads to the recorder.
//
// All that is not as expected means that nothing is done, and that the calls are notified
// as before.

const (
	// callsBefore is how many calls a process makes before it gets the recorder: one that
	// makes few does not pay for it. Tests have every process get it at once.
	callsBefore = 24 - eager*23
	// likelyBefore is how many of them could have been recorded.
	likelyBefore = 8 - eager*7
	// callsPerSite is how many calls come from sites that were not known then before the
	// process is looked at again. The next time it is twice as many.
	callsPerSite = 16
	// maxAttempts is how often a process is looked at that cannot get it now.
	maxAttempts = 6
	// maxDoubled bounds how often callsPerSite is doubled.
	maxDoubled = 16
)

// An injection is what is to be done to a thread when it has stopped.
type injection struct {
	tid   int
	proc  *process
	space *addressSpace
	// site is the address of a syscall instruction.
	site uint64
	base uint64
	// code: the pages are to be made. slots: the slots and the counter are to be mapped.
	// ring and counter are their descriptors in the process, -1 for none; they are closed
	// there in any case.
	code, slots   bool
	ring, counter int
	writes        []write
	source        *source // nil if it only leads sites to the recorder
	led           []slots.Led
}

// forInjection stands in ptraceRequests for a thread that is stopped for an injection.
const forInjection = -1

// A write changes the memory of a process, also where the process itself may not.
type write struct {
	at   uint64
	data []byte
}

// inject is called for each notified call. It reports whether it has answered it: then
// the thread is about to be stopped, to get the recorder.
func (h *hand) inject(n *seccomp.Notification, c *observe.Call, p *process) (answered bool, err error) {
	s := h.recordings
	if !c.Followed || c.ABI != s.index.Native() {
		return false, nil
	}
	likely := s.notable[n.Data.NR] && !beginsAtDescriptor(c)
	s.mu.Lock()
	in, sp := s.injections[c.TID], p.space
	due := in != nil || s.isDue(p, likely, n.Data.IP)
	soon := sp != nil && sp.source == nil && sp.calls == callsBefore/2 && sp.likely >= likelyBefore/2
	s.mu.Unlock()
	if soon && s.libc != "" {
		s.learn(s.libc) // that takes a millisecond, and a processor
	}
	if !due {
		return false, nil
	}
	if in == nil {
		if in = h.prepare(n, c, p, sp); in == nil {
			return false, nil
		}
		if in.slots && !h.addFiles(n.ID, in) {
			return false, nil
		}
		s.mu.Lock()
		s.injections[c.TID] = in
		s.mu.Unlock()
	}
	// If there was one the signal was lost: a SIGCONT takes a SIGSTOP back.
	h.requests.add(c.TID, forInjection)
	if err := interruptThread(c.PID, c.TID, func() bool { return h.listener.Valid(n.ID) }); err != nil {
		h.requests.take(c.TID)
		return false, nil // it has ended, or its descriptors are closed at the next call
	}
	if err := h.listener.Errno(n.ID, -restartNoIntr); !errors.Is(err, seccomp.ErrGone) {
		return true, err
	}
	return true, nil
}

// beginsAtDescriptor reports whether a call's path does, unless it is absolute, which is
// rare where one passes a descriptor. Such calls are not recorded.
func beginsAtDescriptor(c *observe.Call) bool {
	dir := c.Row.First.Dir
	return dir != syscalls.None && int32(c.Row.Argument(&c.Args, dir, c.ABI)) != unix.AT_FDCWD
}

// isDue counts a call, and reports whether its process is to be looked at. likely: the
// call could be recorded, by a process that has the recorder. The lock is held.
func (s *recordings) isDue(p *process, likely bool, ip uint64) bool {
	sp := p.space
	if sp == nil || sp.unfit || p.apart || sp.users != 1 || sp.threads {
		return false
	}
	if sp.source == nil {
		sp.calls++
		if !likely {
			return false
		}
		if sp.likely++; sp.likely < likelyBefore {
			return false
		}
	} else {
		landings := slots.LandingAt(sp.base, 0)
		if !likely || isLed(sp.led, ip-2) || ip >= landings && ip < landings+slots.PageSize {
			return false // it is one that must be notified
		}
		sp.calls++
	}
	if sp.awaits != nil {
		select {
		case <-sp.awaits:
			sp.awaits = nil
			return true
		default:
			return false
		}
	}
	if sp.calls < sp.next {
		return false
	}
	sp.next = sp.calls + callsPerSite
	sp.attempts++
	switch {
	case sp.source != nil:
		sp.next = sp.calls + callsPerSite<<min(sp.attempts, maxDoubled)
	case sp.attempts > maxAttempts:
		sp.unfit = true
		return false
	}
	return true
}

// prepare looks at a process, and prepares what is to be done to it; nil for nothing.
func (h *hand) prepare(n *seccomp.Notification, c *observe.Call, p *process, sp *addressSpace) *injection {
	s := h.recordings
	if !h.isFit(c) {
		return nil
	}
	list, err := procfs.Maps(c.PID)
	if err != nil {
		return nil
	}
	site := n.Data.IP - uint64(len(slots.SyscallInstruction))
	at, found := slices.BinarySearchFunc(list, site, func(m procfs.Mapping, a uint64) int {
		switch {
		case m.To <= a:
			return -1
		case m.From > a:
			return 1
		}
		return 0
	})
	in := &injection{tid: c.TID, proc: p, space: sp, site: site, base: sp.base, ring: -1, counter: -1, led: slices.Clip(sp.led)}
	in.code, in.slots = sp.base == 0, sp.source == nil
	switch {
	case !found:
		return nil
	case in.slots && !in.code:
		// A forked child, at a site that is led to its landing already.
		if !h.isInherited(c.PID, in.base, list) {
			s.giveUpOn(sp)
			return nil
		}
	default:
		m := s.moduleOf(&list[at], sp)
		if m == nil {
			return nil
		}
		if in.code {
			if in.base = roomFor(list, at); in.base == 0 {
				s.giveUpOn(sp)
				return nil
			}
		}
		m.sites[site-list[at].From+list[at].Offset] = struct{}{}
		if !h.lead(in, c.PID, m, &list[at]) {
			return nil
		}
	}
	if in.code {
		image, err := slots.Image(s.key, in.base)
		if err != nil {
			s.giveUpOn(sp)
			return nil
		}
		in.writes = append([]write{{in.base + slots.CodePage, image}}, in.writes...)
	}
	if in.slots {
		token := []byte{1, 0, 0, 0, 0, 0, 0, 0}
		in.writes = append(in.writes, write{in.base + slots.TokenPage, token})
		r, err := s.newRing()
		if err != nil {
			s.giveUpOn(sp)
			return nil
		}
		in.source = &source{ring: r, proc: p, early: make(map[uint64]resolve.Result)}
	}
	return in
}

// isFit reports whether a process is one that records its calls. Whatever is not known
// for sure is not.
func (h *hand) isFit(c *observe.Call) bool {
	st, err := procfs.ReadStatus(c.TID)
	if err != nil || !st.Alone || st.Filters == 0 || st.Filters != h.recordings.filters || !h.observer.IsPlain(c) {
		return false
	}
	one := func(ids [4]int) bool { return ids == [4]int{ids[0], ids[0], ids[0], ids[0]} }
	if !one(st.UIDs) || !one(st.GIDs) {
		return false // it has, or had, the rights of its file's owner
	}
	bit := func(sig unix.Signal) uint64 { return 1 << (sig - 1) }
	// A SIGSTOP takes a SIGCONT back that waits for somebody. Faults are taken back only
	// of signals that would be delivered, and a SIGTRAP ends each step.
	faults := bit(unix.SIGSEGV) | bit(unix.SIGBUS)
	return (st.Caught|st.Blocked)&bit(unix.SIGCONT) == 0 && (st.Ignored|st.Blocked)&faults == 0 && st.Ignored&bit(unix.SIGTRAP) == 0
}

// giveUpOn says that nothing is to be recorded in a space.
func (s *recordings) giveUpOn(sp *addressSpace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp.unfit = true
	s.open(sp)
}

// maxSources bounds the memory of slots: so many processes record at once.
const maxSources = 512

// newRing returns one in which nothing was recorded.
func (s *recordings) newRing() (*slots.Ring, error) {
	s.mu.Lock()
	full := len(s.sources) >= maxSources
	s.mu.Unlock()
	if full {
		return nil, errTooMany
	}
	return slots.NewRing()
}

var errTooMany = errors.New("too many processes record their calls")

// addFiles gives a caller the descriptors of its slots and of the counter.
func (h *hand) addFiles(id uint64, in *injection) bool {
	var err error
	if in.ring, err = h.listener.AddFile(id, in.source.ring.(*slots.Ring).FD()); err == nil {
		in.counter, err = h.listener.AddFile(id, h.recordings.counter.FD())
	}
	if err != nil && in.ring < 0 {
		h.recordings.giveUpOn(in.space) // too many files are open, say
		in.source.closeRing()
		return false
	}
	return true // also to close the first
}

// lead prepares to lead the sites of a module to the recorder that are not led there yet.
// It reports whether there are any.
func (h *hand) lead(in *injection, pid int, m *module, at *procfs.Mapping) bool {
	led := false
	for offset := range m.sites {
		site := at.From + offset - at.Offset
		gap, ok := m.Gap(offset)
		if isLed(in.led, site) || !ok || offset < at.Offset || site >= at.To || len(in.led) >= slots.Landings {
			continue
		}
		gapAt, was := at.From+gap-at.Offset, m.Idle(gap)
		landing := slots.LandingAt(in.base, len(in.led))
		code, near := slots.Landing(in.base, len(in.led), site)
		atSite, inGap, nearToo := slots.Detour(site, gapAt, landing)
		if !near || !nearToo || !h.holds(pid, site, slots.SyscallInstruction[:]) || !h.holds(pid, gapAt, was[:]) {
			continue
		}
		in.writes = append(in.writes, write{landing, code}, write{gapAt, inGap}, write{site, atSite})
		in.led = append(in.led, slots.Led{Site: site, Gap: gapAt})
		led = true
	}
	return led
}

// isLed reports whether a site is led to the recorder.
func isLed(list []slots.Led, site uint64) bool {
	return slices.ContainsFunc(list, func(l slots.Led) bool { return l.Site == site })
}

// holds reports whether the memory of a process has b at an address: the kernel has said
// where calls come from, and the file what nothing executes, but the process may have
// changed both.
func (h *hand) holds(pid int, at uint64, b []byte) bool {
	is, err := h.memory.Bytes(pid, at, len(b))
	return err == nil && bytes.Equal(is, b)
}

// isInherited reports whether a process has the recorder from its parent, with room where
// the slots and the counter were.
func (h *hand) isInherited(pid int, base uint64, list []procfs.Mapping) bool {
	for i := range list {
		if m := &list[i]; m.From < base+slots.LandingPage && m.To > base+slots.CounterPage {
			return false
		}
	}
	image, err := slots.Image(h.recordings.key, base)
	if err != nil {
		return false
	}
	for at := 0; at < len(image); at += slots.PageSize {
		if !h.holds(pid, base+uint64(at), image[at:at+slots.PageSize]) {
			return false
		}
	}
	return h.holds(pid, base+slots.TokenPage, make([]byte, 8))
}

// roomFor finds room for the recorder near a mapping: not beside others, which may grow.
func roomFor(list []procfs.Mapping, at int) (base uint64) {
	const apart, reach = 32 << 20, 1 << 30
	for i := at; i > 0 && list[at].To-list[i].From < reach; i-- {
		if list[i].From-list[i-1].To > 2*apart+slots.Size {
			return list[i].From - apart - slots.Size
		}
	}
	return 0
}

// takeInjection returns what a thread was stopped for.
func (s *recordings) takeInjection(tid int) *injection {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.injections[tid]
	delete(s.injections, tid)
	return in
}

// injected says whether the process records its calls from now on.
func (s *recordings) injected(in *injection, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := in.space
	if !done {
		sp.unfit = true
		s.open(sp)
		in.source.closeRing()
		return
	}
	sp.base, sp.led = in.base, in.led
	if in.source != nil {
		in.source.ring.(*slots.Ring).CloseFile() // the process has it mapped
		sp.source = in.source
		s.sources = append(s.sources, in.source)
		s.processes++
		signal(s.begun)
	}
	s.open(sp)
}

// baseOf returns where a process has the recorder, 0 for nowhere.
func (s *recordings) baseOf(p *process) uint64 {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.space == nil {
		return 0
	}
	return p.space.base
}

// leave moves a stopped thread to where it would be without the recorder, as its stack
// may be looked at now: by a signal's handler, or a debugger.
func (s *recordings) leave(k kernel, t *task) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp := t.proc.space; sp != nil && sp.base != 0 {
		var r *slots.Ring
		if sp.source != nil {
			r, _ = sp.source.ring.(*slots.Ring)
		}
		k.leave(t.tid, sp.base, sp.led, r)
	}
}

package recorder

import "sync/atomic"

// Registers are those of a thread that the recorder's code uses. OrigRAX is the number of
// the call that the thread comes from, -1 for none.
type Registers struct {
	RAX, RBX, RCX, RDX, RSI, RDI, R8, R9, R10, RSP, RIP, OrigRAX uint64
}

// The stack frame, as the code has it.
const (
	frameBack  = 0
	frameCall  = 8
	frameBX    = 16
	frameArgs  = 24
	frameWord  = 72
	frameRes   = 88
	frameSize  = 128 + 96
	frameBytes = 96
)

// Leave has a stopped thread be where it would be without the recorder, so that a
// signal's handler finds the site in its context: before its call, which is then made
// again from there and is no longer recorded so far; or behind it. It is for a process
// that has the recorder at base, and led is what its landings are for. read reads the
// process's memory. It returns false, and has changed nothing, for a thread that is not
// in the recorder, or that is at one of few instructions where it must go on.
func Leave(base uint64, led []Led, r *Ring, regs *Registers, read func(addr uint64, n int) ([]byte, error)) bool {
	for _, l := range led {
		if regs.RIP == l.Gap {
			regs.RIP = l.Site
			return true
		}
	}
	if at := regs.RIP - LandingAt(base, 0); at < pageSize {
		n := int(at / landingSize)
		if n >= len(led) {
			return false
		}
		regs.RIP = led[n].Site
		if at%landingSize >= landingBack {
			regs.RIP += 2 // the call has returned, or is to start again from two bytes before
		}
		return true
	}
	p, err := loadProgram()
	if err != nil || regs.RIP-base >= pageSize {
		return false
	}
	return p.leave(base, int(regs.RIP-base), led, r, regs, read)
}

func (p *program) leave(base uint64, at int, led []Led, r *Ring, regs *Registers, read func(addr uint64, n int) ([]byte, error)) bool {
	const none = ^uint64(0)
	back := regs.RCX
	framed := at >= p.frameEnd && at < p.left || at >= p.refuse && at < p.unframe
	var frame [frameBytes]byte
	word := func(offset int) uint64 { return native.Uint64(frame[offset:]) }
	if framed {
		b, err := read(regs.RSP, frameBytes)
		if err != nil || len(b) != frameBytes {
			return false
		}
		copy(frame[:], b)
		back = word(frameBack)
	}
	n := int(back-LandingAt(base, 0)) / landingSize
	if back < LandingAt(base, 0) || n >= len(led) {
		return false
	}
	site := led[n].Site
	returned := at >= p.done && at <= p.left
	interrupted := at == p.behind && int64(regs.RAX) >= -restartLast && int64(regs.RAX) <= -restartFirst
	result, call := word(frameRes), none
	if at >= p.behind && at < p.kept {
		result = regs.RAX
	}
	switch {
	case at >= p.claim && at < p.claimed:
		return false // whose slot it is is not known
	case at >= p.claimed && at < p.done, at >= p.refuse && at < p.freeEnd:
		number := uint64(0) // not taken yet
		if at >= p.begun && at < p.giveBack {
			number = word(frameWord) >> phaseBits
		}
		if r.withdraw(base, regs.RBX, number) {
			break
		}
		// The call was given already. If it has returned it is over, and its answer does
		// not come.
		if at < p.behind || at >= p.done || !r.abandon(base, regs.RBX, number) {
			return false
		}
		returned = true
	}
	if interrupted { // the kernel decides whether it starts again, from two bytes before
		returned, call = true, regs.OrigRAX
	}
	switch {
	case framed:
		p.restoreFrame(regs, word)
		if returned {
			regs.RAX = result
		}
	case at >= p.frame && at < p.frameEnd, at == p.unframe:
		regs.RSP += frameSize
	}
	regs.OrigRAX, regs.RIP = call, site
	if returned {
		regs.RIP = site + 2
	}
	return true
}

// What a call returns that a signal has interrupted: -ERESTARTSYS to
// -ERESTART_RESTARTBLOCK.
const (
	restartFirst = 512
	restartLast  = 516
)

// restoreFrame has the registers be as they were at the site, before the call.
func (p *program) restoreFrame(regs *Registers, word func(int) uint64) {
	regs.RAX, regs.RBX = word(frameCall), word(frameBX)
	for i, to := range [...]*uint64{&regs.RDI, &regs.RSI, &regs.RDX, &regs.R10, &regs.R8, &regs.R9} {
		*to = word(frameArgs + 8*i)
	}
	regs.RSP += frameSize
}

// slotAt returns the number of a slot, 0 for none.
func slotAt(base, address uint64) int {
	at := address - base - ring
	if at%slotSize != 0 || at >= ringSize {
		return 0
	}
	return int(at / slotSize)
}

// abandon frees a slot whose call was given. The thread that it belongs to is stopped.
func (r *Ring) abandon(base, address, number uint64) bool {
	i := slotAt(base, address)
	if r == nil || i == 0 || number == 0 || r.seen[i] != number {
		return false
	}
	r.seen[i] = 0
	atomic.StoreUint64(r.word(i*slotSize+slotWord), phaseFree)
	return true
}

// withdraw takes the slot at an address back, whose call is made again; want is its
// number, 0 if it has none yet. It returns false if the call was given already, or the
// slot is another's: of a forked child's parent. The thread that it belongs to is
// stopped.
func (r *Ring) withdraw(base, address, want uint64) bool {
	if address == 0 {
		return true // it had none yet
	}
	i := slotAt(base, address)
	if r == nil || i == 0 {
		return false
	}
	word := r.word(i*slotSize + slotWord)
	for {
		was := atomic.LoadUint64(word)
		number, phase := was>>phaseBits, was&(1<<phaseBits-1)
		becomes := number<<phaseBits | phaseVoid
		switch {
		case number != want:
			return false
		case was == phaseFree, phase == phaseVoid:
			return true
		case was == phaseTaken:
			becomes = phaseFree
		case phase == phaseGiven, phase == phaseAnswering && r.seen[i] == number, phase == phaseAnswered:
			return false
		}
		if atomic.CompareAndSwapUint64(word, was, becomes) {
			return true
		}
	}
}

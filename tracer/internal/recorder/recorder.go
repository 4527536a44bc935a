package recorder

import (
	"errors"
	"slices"

	"github.com/fstrace/fstrace/seccomp"
)

// ErrNotHere says that there is no recorder for this machine.
var ErrNotHere = errors.New("recorder: only x86-64 has one")

// Size is how much address space the recorder takes in a process, from one base on.
// Offsets of its parts: CodePage and SettingsPage hold what Image returns, TokenPage is
// private, CounterPage is that of the session's Counter, RingPage begins the Ring.
const (
	Size         = size
	CodePage     = codePage
	SettingsPage = settingsPage
	TokenPage    = tokenPage
	CounterPage  = counterPage
	RingPage     = ring
	LandingPage  = landingPage
	RingSize     = ringSize
	PageSize     = pageSize

	// Entry is where calls are led to.
	Entry = entry
)

// Image returns the pages of code and of settings for a process that has them at base.
func Image(key seccomp.Key, base uint64) ([]byte, error) {
	p, err := loadProgram()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 2*pageSize)
	for i := copy(b, p.text); i < pageSize; i++ {
		b[i] = trap
	}
	native.PutUint64(b[keyed:], key.At(base+uint64(p.behind)))
	for nr, c := range calls {
		b[classes+nr] = c.class
	}
	return b, nil
}

// Calls returns the names of the calls that may be recorded. Those of x86-64 alone carry
// a key.
func Calls() []string {
	var names []string
	for _, c := range calls {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return names
}

// After returns where a thread is to go on that got SIGSEGV or SIGBUS at pc, in a process
// that has the recorder at base. It returns false if the fault is none of the recorder's:
// then the signal is the program's.
func After(base, pc uint64) (then uint64, ok bool) {
	p, err := loadProgram()
	if err != nil || pc < base || pc-base >= pageSize {
		return 0, false
	}
	to, ok := p.after(int(pc - base))
	return base + uint64(to), ok
}

// A call is one that may be recorded.
type call struct {
	name  string
	class uint8
}

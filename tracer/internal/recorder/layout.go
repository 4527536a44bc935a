package recorder

// Where things are in a process that records its calls: offsets from the base of one
// stretch of pages. The assembler reads these constants too (go_asm.h).
//
// Slots, and not a ring in the strict sense: any slot that is free may be taken, so that
// one whose call never comes back (SIGKILL, siglongjmp) holds up no other.
const (
	pageSize = 4096

	// The code, which begins with a table of jumps that nobody takes (code.go). Not
	// writable.
	codePage = 0
	entry    = 256

	// What it is to know. Not writable by the process.
	settingsPage = pageSize
	keyed        = settingsPage      // what r9 is to be: seccomp.Key.At
	classes      = settingsPage + 64 // a byte for each call, by number
	classCount   = 448

	// The token: 0 says that the process is not the one that the slots are for. The page
	// is private, and MADV_WIPEONFORK: a forked child finds 0.
	tokenPage = 2 * pageSize
	token     = tokenPage

	// The session's counter, in a page that all its processes share. MADV_DONTFORK.
	counterPage = 3 * pageSize
	counter     = counterPage

	// The slots, shared with fstrace alone. MADV_DONTFORK. In place of the first slot is
	// what concerns all.
	ring     = 4 * pageSize
	ringSize = 16 * pageSize
	ringOpen = ring     // which calls may be recorded now; fstrace writes it
	ringHint = ring + 8 // the slot taken last; need not be right

	slotShift = 9
	slotSize  = 1 << slotShift
	slotCount = ringSize / slotSize

	// Landings: what leads calls here from other code (landing.go). Not writable.
	landingPage = ring + ringSize

	// Size of the whole.
	size = landingPage + pageSize
)

// Bits of ringOpen.
const (
	openCalls    = 1 << iota // calls may be recorded
	openRelative             // paths may begin at the working directory
	openThreads              // there is more than one thread
)

// A slot. What is not said to be written is what the slot's last use has left.
const (
	slotWord       = 0   // number<<phaseBits | phase; 0 for a free slot
	slotCall       = 8   // uint32: the call's number
	slotLength     = 12  // uint32: of the path
	slotArgs       = 16  // its first four arguments
	slotResult     = 48  // int64
	slotTold       = 56  // uint32: what the answer is
	slotToldLength = 60  // uint32: of a link's target
	slotAnswer     = 64  // ten words: toldStat, toldStatx
	slotThread     = 144 // uint32: its tid; 0 for the process's first thread
	slotPath       = 160
	slotEnd        = slotSize
)

// Phases of a slot. A slot is free, taken, begun, answering, answered and free again; or
// void in place of the last two. fstrace makes a begun one given when it learns of the
// call before it has returned: such a call goes on as one that is recorded, whatever is
// closed then. It makes free those that are answered or void, and given ones whose answer
// it does not wait for. The process makes all other steps. Those from begun and given are
// compare-and-swaps, so that only one of both makes them.
const (
	phaseBits = 3

	phaseFree      = 0
	phaseTaken     = 1 // it belongs to a call that has not begun; it may never
	phaseBegun     = 2 // call and path are there; the call runs, or is about to
	phaseGiven     = 3 // the same, and fstrace has given it (Ring.Drain)
	phaseAnswering = 4 // the call has returned
	phaseAnswered  = 5 // the answer is there, if there is one
	phaseVoid      = 6 // the call is made again, and notified
)

// What slotTold says.
const (
	toldNothing = 0 // but the result
	toldStat    = 1 // words of struct stat
	toldStatx   = 2 // words of struct statx
	toldTarget  = 3 // a link's target, behind the path at the next multiple of 8
)

// Bits of a call's class: where its arguments are.
const (
	classPath0    = 1 << iota // path is argument 0, the buffer 1, its size 2
	classPath1                // directory is argument 0, path 1, the buffer 2, its size 3
	classStat                 // the buffer is a struct stat
	classStatx                // argument 4 is a struct statx
	classReadlink             // the buffer gets a link's target
)

// triesForSlot is how many slots are looked at before a call is left to be notified.
const triesForSlot = 8

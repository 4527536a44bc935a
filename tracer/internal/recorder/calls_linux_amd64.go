package recorder

import "golang.org/x/sys/unix"

// trap is the instruction that fills what is no code: int3.
const trap = 0xcc

// tryCall is the call that Try makes: access.
const tryCall = unix.SYS_ACCESS

// gettid is how a thread gets its tid.
//
//lint:ignore U1000 the assembler uses it
const gettid = unix.SYS_GETTID

// calls are those that may be recorded, by number.
var calls = map[int]call{
	unix.SYS_STAT:       {"stat", classPath0 | classStat},
	unix.SYS_LSTAT:      {"lstat", classPath0 | classStat},
	unix.SYS_NEWFSTATAT: {"newfstatat", classPath1 | classStat},
	unix.SYS_STATX:      {"statx", classPath1 | classStatx},
	unix.SYS_ACCESS:     {"access", classPath0},
	unix.SYS_FACCESSAT:  {"faccessat", classPath1},
	unix.SYS_FACCESSAT2: {"faccessat2", classPath1},
	unix.SYS_READLINK:   {"readlink", classPath0 | classReadlink},
	unix.SYS_READLINKAT: {"readlinkat", classPath1 | classReadlink},
}

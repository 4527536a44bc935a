package recorder

// codeAddress returns the code, as far as the page it is in a process.
func codeAddress() *[pageSize]byte

// enter makes a call by way of the recorder's code at entry, which is at a known distance
// from the rest of it.
func enter(entry uintptr, call, a0, a1, a2, a3, a4 uintptr) (result uintptr)

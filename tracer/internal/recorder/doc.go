// Package recorder holds the code by which a process records its own calls instead of
// having them notified, the memory that it records them in, and fstrace's end of that
// memory.
//
// # What is in a process
//
// One stretch of pages (layout.go): the code (code_linux_amd64.s), what it is to know, a
// token by which a forked child sees that it is another process, the session's counter,
// and 127 slots. A call that is led to the code takes a slot, writes down call and path,
// takes a number from the counter, makes the call with the session's key (seccomp.Key),
// and adds what it was told: the result, the identity of the file, the target of the
// link.
//
// A slot is worth what a notification is from before its call is made. Nothing that
// happens to the process then, SIGKILL least of all, takes it away.
//
// What the code is unsure of, it does not record: it makes the call without the key, and
// the filter has it notified.
//
// # What fstrace does
//
// [Ring] is its end. It looks at the slots when it likes, but before it lets through any
// call that changes something, and reads them with distrust: the process can write there
// what it likes.
//
// # Limits
//
// x86-64 only: elsewhere [Image] returns [ErrNotHere]. A path that cannot be read, and
// the memory of a forked child, are found out by a fault, which the tracer takes back
// ([After]): so the process must be traced. If the thread blocks or ignores SIGSEGV, the
// kernel resets that signal's disposition first.
package recorder

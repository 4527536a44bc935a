// Package procfs reads what the kernel says of other processes: files and links of /proc,
// and their memory. It is done with few system calls and without the os package, as the
// process that is read waits meanwhile.
//
// A thread is read by its own id, never by that of its process: the leader of a process
// may have ended, and threads can have directories and descriptors of their own.
//
// The package knows no paths but those that the kernel gives, and no sessions.
package procfs

// Package oracle says what strace sees of a command: the accesses that a record of it
// must have. It shares no code with fstrace. It reads strace's output, follows the
// working directories of the command's threads, and makes paths absolute as the kernel
// does.
package oracle

package tracer

import "golang.org/x/sys/unix"

// What amd64 calls by another name or number than other machines.
const (
	sysFstatat = unix.SYS_NEWFSTATAT
	nativeABI  = "x86_64"

	// The kernel's own value: 0 in x/sys, since 64-bit programs need not pass it.
	openLargefile = 0o100000
)

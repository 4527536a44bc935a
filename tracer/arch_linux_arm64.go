package tracer

import "golang.org/x/sys/unix"

// What arm64 calls by another name or number than other machines.
const (
	sysFstatat = unix.SYS_FSTATAT
	nativeABI  = "aarch64"

	// The kernel's own value: 0 in x/sys, since 64-bit programs need not pass it.
	openLargefile = 0o400000
)

package syscalls

// What amd64 calls by another name or number than other machines.
const (
	NativeABI = "x86_64"

	// The kernel's own value: 0 in x/sys, since 64-bit programs need not pass it.
	openLargefile = 0o100000
)

package syscalls

// What arm64 calls by another name or number than other machines.
const (
	NativeABI = "aarch64"

	// The kernel's own value: 0 in x/sys, since 64-bit programs need not pass it.
	openLargefile = 0o400000
)

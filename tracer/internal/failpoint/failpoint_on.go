//go:build failpoints

package failpoint

import (
	"os"
	"strings"
)

// At holds its caller, if the environment variable FSTRACE_FAILPOINT is
// "NAME=DIR": it opens the FIFO DIR/reached for writing, which lets a test know,
// and then waits until another process has opened and closed the FIFO DIR/go for writing.
// For tests that force an order of events: this file is part of no other build.
func At(name string) {
	want, dir, ok := strings.Cut(os.Getenv("FSTRACE_FAILPOINT"), "=")
	if !ok || want != name {
		return
	}
	if f, err := os.OpenFile(dir+"/reached", os.O_WRONLY, 0); err == nil {
		f.Close()
	}
	if f, err := os.OpenFile(dir+"/go", os.O_RDONLY, 0); err == nil {
		_, _ = f.Read(make([]byte, 1)) // returns at the end of file
		f.Close()
	}
}

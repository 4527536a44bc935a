package tracer

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInnersClosedAtOnce: a session may end when a fstrace inside has asked for a socket,
// before anybody has read from that.
func TestInnersClosedAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nobody reads before this goroutine waits
	for range 100 {
		n := newInners(nil)
		fd, err := n.open(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		n.close()
		unix.Close(fd)
	}
}

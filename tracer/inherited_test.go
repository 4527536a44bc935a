package tracer

import (
	"os"
	"strconv"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// manyDescriptors are enough for the directory of a thread's descriptors to be kept open.
const manyDescriptors = 16

// countDescriptors returns how many descriptors this process has.
func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestInheritedFilesLetGo: what a command inherits is looked at without a trace.
func TestInheritedFilesLetGo(t *testing.T) {
	dir := harness.TempTree(t)
	for i := range manyDescriptors {
		f, err := os.Create(dir + "/" + strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil { // as one that is inherited
			t.Fatal(err)
		}
	}
	before := countDescriptors(t)
	_, files, err := startDescriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files); n < manyDescriptors {
		t.Fatalf("%d files, want %d or more", n, manyDescriptors)
	}
	if after := countDescriptors(t); after != before {
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
}

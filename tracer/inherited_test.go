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

// TestDescriptorDirsLetGo: a session that unmounts /proc is not in its own tracer's way.
func TestDescriptorDirsLetGo(t *testing.T) {
	o := newObserver(&common{served: served{file: -1}}, nil)
	before := countDescriptors(t)
	for range manyDescriptors {
		if _, err := o.procfs.Descriptor(os.Getpid(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if countDescriptors(t) != before+1 {
		t.Fatal("no handle")
	}
	o.foresee(nil, &access{row: rowNamed("umount2"), op: rowNamed("umount2").Op})
	o.served.close()
	if countDescriptors(t) != before {
		t.Error("kept")
	}
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

package procfs

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// openDirs counts the directories that are held.
func (d *FDDirs) openDirs() (n int) {
	for i := range d {
		if d[i].uses >= usesBeforeOpen && d[i].fd >= 0 {
			n++
		}
	}
	return n
}

// TestDescriptorsByHandle: what a descriptor stands for is the same with and without a
// handle, also when it means something else since, or the number of the thread does.
func TestDescriptorsByHandle(t *testing.T) {
	dir := harness.TempTree(t)
	var p Reader
	defer p.Dirs.Close()
	self := os.Getpid()
	at := func(fd int) string {
		t.Helper()
		got, err := p.Descriptor(self, fd)
		if err != nil {
			return err.Error()
		}
		return got.Path
	}
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	fd, other := open(dir), open("/")
	defer unix.Close(other)
	for i := range 2 * usesBeforeOpen {
		if got := at(fd); got != dir {
			t.Fatalf("call %d: %s, want %s", i, got, dir)
		}
	}
	if p.Dirs.openDirs() != 1 {
		t.Error("no handle after many calls")
	}
	if err := unix.Dup3(other, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if got := at(fd); got != "/" {
		t.Errorf("after dup2: %s, want /", got)
	}
	unix.Close(fd)
	if got := at(fd); got != ErrNoFile.Error() {
		t.Errorf("after close: %s", got)
	}
	if p.Dirs.openDirs() != 0 {
		t.Error("a handle by which nothing was found is kept")
	}

	// A handle of a process that is gone, whose number this one has got.
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	handle := open("/proc/" + strconv.Itoa(c.Process.Pid) + "/fd")
	_ = c.Process.Kill()
	_ = c.Wait()
	p.Dirs[self%len(p.Dirs)] = fdDir{tid: self, uses: usesBeforeOpen, fd: handle}
	if got := at(other); got != "/" {
		t.Errorf("by another's handle: %s, want /", got)
	}
}

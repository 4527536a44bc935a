package tracer

import (
	"os"
	"strconv"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// openDirs counts the directories that are held.
func (d *fdDirs) openDirs() (n int) {
	for i := range d {
		if d[i].uses >= usesBeforeOpen && d[i].fd >= 0 {
			n++
		}
	}
	return n
}

// TestDescriptorsByHandle: what a descriptor stands for is told the same with and
// without a handle, also when it means something else since, or the number of the
// thread does.
func TestDescriptorsByHandle(t *testing.T) {
	dir := harness.TempTree(t)
	var p procfs
	defer p.dirs.close()
	self := os.Getpid()
	at := func(fd int) string {
		t.Helper()
		got, err := p.fd(self, fd)
		if err != nil {
			return err.Error()
		}
		return got.path
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
	if p.dirs.openDirs() != 1 {
		t.Error("no handle after many calls")
	}
	if err := unix.Dup3(other, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if got := at(fd); got != "/" {
		t.Errorf("after dup2: %s, want /", got)
	}
	unix.Close(fd)
	if got := at(fd); got != errNoFile.Error() {
		t.Errorf("after close: %s", got)
	}
	if p.dirs.openDirs() != 0 {
		t.Error("a handle by which nothing was found is kept")
	}

	// A handle of a process that is gone, whose number this one has got.
	c := startChild(t, sleeper)
	handle := open("/proc/" + strconv.Itoa(c.proc.pid) + "/fd")
	unix.Close(c.fd)
	c.cmd.Process.Kill()
	c.reap()
	p.dirs[self%len(p.dirs)] = fdDir{tid: self, uses: usesBeforeOpen, fd: handle}
	if got := at(other); got != "/" {
		t.Errorf("by another's handle: %s, want /", got)
	}
}

// TestDescriptorDirsLetGo: a session that unmounts /proc is not in its own tracer's way.
func TestDescriptorDirsLetGo(t *testing.T) {
	o := newObserver(&common{served: served{file: -1}}, nil)
	for range usesBeforeOpen {
		if _, err := o.procfs.fd(os.Getpid(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if o.procfs.dirs.openDirs() != 1 {
		t.Fatal("no handle")
	}
	o.foresee(nil, &access{row: rowNamed("umount2"), op: rowNamed("umount2").Op})
	if o.procfs.dirs.openDirs() != 0 {
		t.Error("kept")
	}
}

// TestInheritedFilesLetGo: what a command inherits is looked at without a trace.
func TestInheritedFilesLetGo(t *testing.T) {
	dir := harness.TempTree(t)
	for i := range 2 * usesBeforeOpen {
		f, err := os.Create(dir + "/" + strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil { // as one that is inherited
			t.Fatal(err)
		}
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	_, files, err := startDescriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files); n < 2*usesBeforeOpen {
		t.Fatalf("%d files, want %d or more", n, 2*usesBeforeOpen)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
}

package observe

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
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
	_, files, err := Descriptors(os.Getpid())
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

// TestInheritedFiles: of what a command starts with, regular files are accesses.
func TestInheritedFiles(t *testing.T) {
	dir := harness.TempTree(t)
	harness.WriteFile(t, dir+"/in", "")
	in := harness.OpenFile(t, dir+"/in", os.O_RDONLY)
	out := harness.OpenFile(t, dir+"/out", os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	sub := harness.OpenFile(t, dir, os.O_RDONLY)
	c := exec.Command("sh", "-c", "echo ready; read line")
	input, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ready, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{in, out, sub}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { input.Close(); _ = c.Wait() }()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var got []string
	_, files, err := Descriptors(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range files {
		new(Maker).Make(&a, func(e *events.Event) {
			got = append(got, fmt.Sprintf("%v %s %v %v", e.Op, strings.TrimPrefix(e.Path, dir), e.State, e.Flags[0]))
		})
	}
	slices.Sort(got)
	want := []string{"read /in file O_RDONLY", "write /out file O_WRONLY"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDescriptorFlags(t *testing.T) {
	f := harness.OpenFile(t, t.TempDir()+"/f", os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	flags, ok := descriptorFlags(os.Getpid(), int(f.Fd()))
	if !ok || flags&unix.O_ACCMODE != unix.O_WRONLY || flags&unix.O_APPEND == 0 || flags&unix.O_CLOEXEC == 0 {
		t.Errorf("flags %#o, %v", flags, ok)
	}
	f.Close()
	if flags, ok := descriptorFlags(os.Getpid(), 99999); ok {
		t.Errorf("of what is not open: flags %#o", flags)
	}
}
